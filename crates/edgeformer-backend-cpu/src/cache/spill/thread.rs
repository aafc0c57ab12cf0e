//! The thread that moves pages, and how it and the caller wait for each other.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use edgeformer_core::{Error, Result};

use super::file::Medium;
use super::places::Place;
use super::queue::{Job, State};

/// What the caller and the thread share.
pub(super) struct Shared<B, M> {
    pub medium: M,
    /// Named in errors.
    folder: PathBuf,
    state: Mutex<State<B>>,
    /// The thread waits here for a job.
    work: Condvar,
    /// The caller waits here for one to be done.
    done: Condvar,
}

impl<B, M> Shared<B, M> {
    pub fn new(medium: M, folder: PathBuf) -> Self {
        let (work, done) = (Condvar::new(), Condvar::new());
        Self { medium, folder, state: Mutex::default(), work, done }
    }

    pub fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the thread.
    pub fn tell(&self, change: impl FnOnce(&mut State<B>)) {
        change(&mut self.lock());
        self.work.notify_one();
    }

    /// Gives the state away until something was done.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State<B>>) -> MutexGuard<'a, State<B>> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job<B>> {
        let mut state = self.lock();
        loop {
            if state.shutdown {
                return None;
            }
            if let Some(job) = state.take_job() {
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn failed(&self, what: &str, place: Place, error: &io::Error, advice: &str) -> Error {
        let (folder, Place { offset, len }) = (self.folder.display(), place);
        let problem = format!(
            "spill file in {folder}: {what} the page of {len} bytes at {offset}: {error}; {advice}"
        );
        Error::Backend { backend: "cpu".into(), problem }
    }
}

impl<B: AsRef<[u8]>, M: Medium> Shared<B, M> {
    /// The thread's life.
    pub fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(ticket, page) if ticket.freed => self.lock().end_write(page, Ok(())),
                Job::Write(ticket, page) => self.write(ticket.place, page),
                Job::Read => self.read_ahead(),
            }
            self.done.notify_all();
        }
    }

    fn write(&self, place: Place, page: B) {
        let written = guarded(|| self.medium.write_at(page.as_ref(), place.offset));
        let advice = "free space there, spill to another folder or raise the cache's budget";
        let outcome = written.map_err(|error| self.failed("writing", place, &error, advice));
        self.lock().end_write(page, outcome);
    }

    fn read_ahead(&self) {
        let mut buffer = self.lock().lend_buffer();
        let outcome = self.read_parts(&mut buffer);
        self.lock().end_read(buffer, outcome);
    }

    fn read_parts(&self, buffer: &mut [u8]) -> Result<()> {
        for index in 0.. {
            let Some(part) = self.lock().request(index) else { break };
            self.read(part.place, part.from, &mut buffer[part.to..][..part.len])?;
        }
        Ok(())
    }

    /// Reads a part of a page from wherever it is. Any thread may.
    pub fn read(&self, place: Place, from: usize, to: &mut [u8]) -> Result<()> {
        let mut state = self.lock();
        while state.is_writing(place) {
            state = self.wait(state);
        }
        if let Some(page) = state.kept(place) {
            to.copy_from_slice(&page.as_ref()[from..][..to.len()]);
            return Ok(());
        }
        drop(state);
        guarded(|| self.medium.read_at(to, place.offset + from as u64)).map_err(|error| {
            self.failed("reading", place, &error, "spill to a folder on a sound disk")
        })
    }
}

/// A panic while moving a page is a failure like others: nobody waits for ever, no page is lost.
fn guarded(job: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    panic::catch_unwind(AssertUnwindSafe(job))
        .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
}
