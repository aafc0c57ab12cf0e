//! Ctrl-C: stops an answer or an evaluation that runs, the program otherwise.

use std::sync::atomic::{AtomicBool, Ordering};

static ANSWERING: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that Ctrl-C ended, as shells count.
pub const INTERRUPTED: u8 = 130;

/// Takes over Ctrl-C; again and again where a command has several stages.
pub fn install() -> Result<(), ctrlc::Error> {
    let installed = ctrlc::set_handler(|| {
        if ANSWERING.load(Ordering::SeqCst) {
            STOPPED.store(true, Ordering::SeqCst);
        } else {
            std::process::exit(INTERRUPTED.into());
        }
    });
    match installed {
        Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        installed => installed,
    }
}

/// Exists while an answer is written, or something is measured.
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
