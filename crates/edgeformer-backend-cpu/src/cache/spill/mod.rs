//! Pages in a file.
//!
//! A long context may not fit into memory while all of it is needed at every step, once a layer.
//! So pages move to a file and are read back, layer by layer, while others are computed with: a
//! thread of its own does both, and the computation waits for it only when it is faster.
//!
//! ```text
//! caller    write(page) -> place           start_read(parts, buffer) ... finish_read() -> buffer
//!               |                               |                            ^
//!            [ Write a | Write b | ...   ...  | Read ]     one queue, in order
//!               v                               v                            |
//! thread     a's bytes to the file,          the parts of pages to the buffer
//!            its memory to reclaim()
//! ```
//!
//! - **A place is valid at once.** [`write`](Spill::write) takes a page's memory and says where it
//!   will be; because the queue keeps its order, reads find it there. Memory comes back by
//!   [`reclaim`](Spill::reclaim) when it was written, not before.
//! - **A full disk loses nothing.** A page that cannot be written stays in memory, and its place
//!   is served from there. [`failure`](Spill::failure) says so once; the caller decides whether to
//!   go on.
//! - **The file is private**, mode 0600, and has no name: when the process ends, whatever the
//!   way, its space is free again.
//! - **Nothing is allocated once warm**: lists have room for every page whose memory is here, and
//!   buffers move in and out.
//!
//! | module | |
//! |---|---|
//! | [`file`](mod@file) | the file: made, read and written at offsets |
//! | [`places`] | which part of it belongs to which page |
//! | [`queue`] | jobs, and what became of them |
//! | [`thread`] | doing them; waiting |

mod file;
mod places;
mod queue;
#[cfg(test)]
mod tests;
mod thread;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use edgeformer_core::{Error, Result};

use file::Medium;
use places::Places;
use thread::Shared;

pub(super) use places::Place;

/// Pages of several sizes in one private file, moved by a thread of their own: see the
/// [module](self). `B` is a page's memory.
pub(super) struct Spill<B, M = File> {
    places: Places,
    shared: Arc<Shared<B, M>>,
    thread: Option<JoinHandle<()>>,
    /// Pages whose memory is here.
    held: usize,
    held_bytes: u64,
}

/// A part of a page to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Where the page is.
    pub place: Place,
    /// The part's first byte in the page.
    pub from: usize,
    /// Bytes of the part.
    pub len: usize,
    /// Where it goes in the buffer.
    pub to: usize,
}

impl<B: AsRef<[u8]> + Send + 'static> Spill<B> {
    /// An empty file in `folder` and its thread.
    ///
    /// # Errors
    /// If `folder` is not there, is no folder, or no file can be made in it.
    pub fn create(folder: &Path) -> Result<Self> {
        Self::on(file::create(folder)?, folder.to_path_buf())
    }
}

impl<B: AsRef<[u8]> + Send + 'static, M: Medium> Spill<B, M> {
    /// Over any medium. Errors name `folder`.
    fn on(medium: M, folder: PathBuf) -> Result<Self> {
        let shared = Arc::new(Shared::new(medium, folder));
        let theirs = shared.clone();
        let thread = Builder::new()
            .name("edgeformer-spill".into())
            .spawn(move || theirs.work())
            .map_err(|error| {
                let problem = format!("no thread for the spill file: {error}");
                Error::Backend { backend: "cpu".into(), problem }
            })?;
        let places = Places::default();
        Ok(Self { places, shared, thread: Some(thread), held: 0, held_bytes: 0 })
    }

    /// Takes a page's memory and writes it in time. Its place is valid at once.
    pub fn write(&mut self, page: B) -> Place {
        let place = self.places.take(page.as_ref().len());
        self.held += 1;
        self.held_bytes += place.len as u64;
        self.shared.tell(|state| state.add_write(place, page, self.held));
        place
    }

    /// Memory of `len` bytes whose page was written or freed, to be used again. Never waits.
    pub fn reclaim(&mut self, len: usize) -> Option<B> {
        let page = self.shared.lock().take_written(len)?;
        Some(self.reclaimed(page))
    }

    /// Memory of `len` bytes, waited for; `None` if there is none that could come: pages that
    /// failed to be written keep theirs.
    pub fn reclaim_blocking(&mut self, len: usize) -> Option<B> {
        let mut state = self.shared.lock();
        let page = loop {
            if let Some(page) = state.take_written(len) {
                break page;
            }
            if !state.expects(len) {
                return None;
            }
            state = self.shared.wait(state);
        };
        drop(state);
        Some(self.reclaimed(page))
    }

    fn reclaimed(&mut self, page: B) -> B {
        self.held -= 1;
        self.held_bytes -= page.as_ref().len() as u64;
        page
    }

    /// Starts reading parts of pages into `buffer`, which grows if it is too short. What parts do
    /// not cover stays as it is.
    ///
    /// # Panics
    /// If a read-ahead is under way, or a part is not within its page.
    pub fn start_read(&mut self, requests: &[Request], mut buffer: Vec<u8>) {
        requests.iter().for_each(|part| check(part.place, part.from, part.len));
        let end = requests.iter().map(|part| part.to + part.len).max().unwrap_or(0);
        buffer.resize(end.max(buffer.len()), 0);
        self.shared.tell(|state| state.add_read(requests, buffer));
    }

    /// Waits for the read-ahead and gives the buffer back.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If no read-ahead was started.
    pub fn finish_read(&mut self) -> Result<Vec<u8>> {
        let mut state = self.shared.lock();
        loop {
            if let Some(outcome) = state.take_read() {
                return outcome;
            }
            state = self.shared.wait(state);
        }
    }

    /// Reads a part of a page on the calling thread, past the queue. Not yet written pages are
    /// copied from their memory.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If the part is not within the page.
    pub fn read_now(&mut self, place: Place, from: usize, to: &mut [u8]) -> Result<()> {
        check(place, from, to.len());
        self.shared.read(place, from, to)
    }

    /// Ends the use of a place. Waits for a read-ahead that asks for it; a write that has not
    /// begun does not happen.
    pub fn free(&mut self, place: Place) {
        let mut state = self.shared.lock();
        while state.asks_for(place) {
            state = self.shared.wait(state);
        }
        state.forget(place);
        self.places.give_back(place);
    }

    /// Bytes of the places in use, whether written already or not.
    pub fn bytes(&self) -> u64 {
        self.places.used()
    }

    /// Bytes of page memory that is here: to be written, written and not reclaimed, or failed to
    /// be written.
    pub fn held(&self) -> u64 {
        self.held_bytes
    }

    /// The first failed write since the last call. Its page is not lost: reads of its place are
    /// served from its memory until it is freed.
    pub fn failure(&mut self) -> Option<Error> {
        self.shared.lock().take_failure()
    }
}

impl<B, M> Drop for Spill<B, M> {
    fn drop(&mut self) {
        self.shared.tell(|state| state.shutdown = true);
        if let Some(thread) = self.thread.take() {
            // What moving a page panics with is caught; the thread ends by returning.
            let _ = thread.join();
        }
    }
}

fn check(place: Place, from: usize, len: usize) {
    let end = from.checked_add(len);
    assert!(end.is_some_and(|end| end <= place.len), "{len} bytes at {from} are not in {place:?}");
}
