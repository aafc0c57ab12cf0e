//! Ctrl-C: stops an answer while one is written, the program otherwise.

use std::sync::atomic::{AtomicBool, Ordering};

static ANSWERING: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that Ctrl-C ended, as shells count.
const INTERRUPTED: i32 = 130;

/// Takes over Ctrl-C.
pub fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if ANSWERING.load(Ordering::SeqCst) {
            STOPPED.store(true, Ordering::SeqCst);
        } else {
            std::process::exit(INTERRUPTED);
        }
    })
}

/// Exists while an answer is written.
pub struct Answering;

impl Answering {
    /// From now on Ctrl-C stops the answer.
    pub fn start() -> Self {
        STOPPED.store(false, Ordering::SeqCst);
        ANSWERING.store(true, Ordering::SeqCst);
        Self
    }

    /// Whether Ctrl-C was pressed.
    pub fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        ANSWERING.store(false, Ordering::SeqCst);
    }
}
