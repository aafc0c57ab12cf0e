//! Media that are slow, full or broken.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::cache::spill::Medium;

/// A file in memory that does as it is told.
pub struct Faulty {
    bytes: Mutex<BTreeMap<u64, u8>>,
    gate: Arc<Gate>,
    writes: Arc<AtomicUsize>,
    /// Writes that succeed.
    room: usize,
    panics: bool,
}

/// Writes wait until it is open.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    /// Reads fail.
    broken: AtomicBool,
}

pub struct Writes(Arc<AtomicUsize>);

impl Writes {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Gate {
    pub fn closed() -> Arc<Self> {
        Arc::default()
    }

    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn break_reads(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        // A test that failed before it opened the gate ends all the same.
        let patience = Duration::from_secs(20);
        drop(self.opened.wait_timeout_while(open, patience, |open| !*open).unwrap());
    }
}

impl Faulty {
    pub fn behind(gate: &Arc<Gate>) -> Self {
        Self {
            bytes: Mutex::default(),
            gate: gate.clone(),
            writes: Arc::default(),
            room: usize::MAX,
            panics: false,
        }
    }

    /// The disk is full after so many writes.
    pub fn with_room(room: usize) -> Self {
        let gate = Gate::closed();
        gate.open();
        Self { room, ..Self::behind(&gate) }
    }

    pub fn panicking() -> Self {
        Self { panics: true, ..Self::with_room(0) }
    }

    pub fn writes(&self) -> Writes {
        Writes(self.writes.clone())
    }
}

impl Faulty {
    fn put(&self, offset: u64, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend((offset..).zip(bytes.iter().copied()));
    }
}

impl Medium for Faulty {
    fn read_at(&self, to: &mut [u8], offset: u64) -> io::Result<()> {
        if self.gate.broken.load(Ordering::SeqCst) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let bytes = self.bytes.lock().unwrap();
        for (to, offset) in to.iter_mut().zip(offset..) {
            *to = *bytes.get(&offset).ok_or(ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<()> {
        self.gate.pass();
        assert!(!self.panics, "told to panic");
        let full = self.writes.fetch_add(1, Ordering::SeqCst) >= self.room;
        // Half of a page is there before the rest is, or before the disk is full.
        let (first, second) = from.split_at(from.len() / 2);
        self.put(offset, first);
        thread::yield_now();
        if full {
            return Err(ErrorKind::StorageFull.into());
        }
        self.put(offset + first.len() as u64, second);
        Ok(())
    }
}
