//! What the caller and the spill thread share: the queue and what has become of it.

use std::collections::VecDeque;
use std::mem;

use edgeformer_core::{Error, Result};

use super::Request;
use super::places::Place;

/// Pages that may be on their way before lists grow.
const PAGES: usize = 64;

/// Work for the thread, done in the order in which it came.
pub(super) enum Job<B> {
    /// Write a page.
    Write(Ticket, B),
    /// Carry out the read-ahead.
    Read,
}

/// A page on its way to its place.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub place: Place,
    /// Its place was freed: nobody will read it.
    pub freed: bool,
}

/// How far the read-ahead is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    UnderWay,
    Done,
}

/// Everything behind the lock.
pub(super) struct State<B> {
    jobs: VecDeque<Job<B>>,
    /// The page that the thread is writing just now.
    writing: Option<Ticket>,
    /// Memory to be used again.
    written: Vec<B>,
    /// Pages that could not be written, and where they belong.
    unwritten: Vec<(Place, B)>,
    /// Of the first write that failed and was not asked about yet.
    failure: Option<Error>,
    stage: Stage,
    requests: Vec<Request>,
    /// Where the read-ahead reads to. Lent to the thread while it reads.
    buffer: Vec<u8>,
    /// Why the read-ahead failed.
    read_failure: Option<Error>,
    pub shutdown: bool,
}

impl<B> Default for State<B> {
    fn default() -> Self {
        Self {
            jobs: VecDeque::with_capacity(PAGES),
            writing: None,
            written: Vec::with_capacity(PAGES),
            unwritten: Vec::with_capacity(PAGES),
            failure: None,
            stage: Stage::Idle,
            requests: Vec::with_capacity(PAGES),
            buffer: Vec::new(),
            read_failure: None,
            shutdown: false,
        }
    }
}

impl<B> State<B> {
    /// The next job.
    pub fn take_job(&mut self) -> Option<Job<B>> {
        let job = self.jobs.pop_front()?;
        if let Job::Write(ticket, _) = job {
            self.writing = Some(ticket);
        }
        Some(job)
    }

    /// Queues a page, one of `held` whose memory is here. Makes room for where each of them may
    /// go, so that the thread never has to.
    pub fn add_write(&mut self, place: Place, page: B, held: usize) {
        self.written.reserve(held.saturating_sub(self.written.len()));
        self.unwritten.reserve(held.saturating_sub(self.unwritten.len()));
        self.jobs.push_back(Job::Write(Ticket { place, freed: false }, page));
    }

    /// Notes what became of the page being written.
    pub fn end_write(&mut self, page: B, outcome: Result<()>) {
        let ticket = self.writing.take().expect("a page is written between its start and its end");
        match outcome {
            Err(error) if !ticket.freed => {
                self.failure.get_or_insert(error);
                self.unwritten.push((ticket.place, page));
            }
            _ => self.written.push(page),
        }
    }

    /// Queues the read-ahead.
    ///
    /// # Panics
    /// If one is under way.
    pub fn add_read(&mut self, requests: &[Request], buffer: Vec<u8>) {
        assert!(self.stage == Stage::Idle, "a read-ahead is finished before the next one starts");
        self.stage = Stage::UnderWay;
        self.requests.clear();
        self.requests.extend_from_slice(requests);
        self.buffer = buffer;
        self.jobs.push_back(Job::Read);
    }

    /// Lends the read-ahead's buffer to the thread.
    pub fn lend_buffer(&mut self) -> Vec<u8> {
        mem::take(&mut self.buffer)
    }

    /// A part of the read-ahead.
    pub fn request(&self, index: usize) -> Option<Request> {
        self.requests.get(index).copied()
    }

    /// Notes that the thread has done the read-ahead.
    pub fn end_read(&mut self, buffer: Vec<u8>, outcome: Result<()>) {
        self.stage = Stage::Done;
        self.buffer = buffer;
        self.read_failure = outcome.err();
    }

    /// What the read-ahead gave, if it is done.
    ///
    /// # Panics
    /// If none was started.
    pub fn take_read(&mut self) -> Option<Result<Vec<u8>>> {
        assert!(self.stage != Stage::Idle, "a read-ahead is started before it is finished");
        if self.stage == Stage::UnderWay {
            return None;
        }
        self.stage = Stage::Idle;
        let buffer = mem::take(&mut self.buffer);
        Some(self.read_failure.take().map_or(Ok(buffer), Err))
    }

    /// Whether the thread may still read from that place.
    pub fn asks_for(&self, place: Place) -> bool {
        self.stage == Stage::UnderWay && self.requests.iter().any(|part| part.place == place)
    }

    /// Whether the thread is writing the page of that place just now.
    pub fn is_writing(&self, place: Place) -> bool {
        self.writing.is_some_and(|ticket| ticket.place == place && !ticket.freed)
    }

    /// The page of a place, if its memory is still here and nobody writes it just now.
    pub fn kept(&self, place: Place) -> Option<&B> {
        let failed = self.unwritten.iter().map(|(place, page)| (*place, page));
        let waiting = self.jobs.iter().filter_map(|job| match job {
            Job::Write(ticket, page) if !ticket.freed => Some((ticket.place, page)),
            _ => None,
        });
        failed.chain(waiting).find(|(other, _)| *other == place).map(|(_, page)| page)
    }

    /// Forgets the page of a place, wherever it is.
    pub fn forget(&mut self, place: Place) {
        if let Some(index) = self.unwritten.iter().position(|(other, _)| *other == place) {
            let (_, page) = self.unwritten.swap_remove(index);
            return self.written.push(page);
        }
        let waiting = self.jobs.iter_mut().filter_map(|job| match job {
            Job::Write(ticket, _) => Some(ticket),
            Job::Read => None,
        });
        let mut on_their_way = waiting.chain(self.writing.as_mut());
        if let Some(ticket) = on_their_way.find(|ticket| ticket.place == place && !ticket.freed) {
            ticket.freed = true;
        }
    }

    /// The first failed write since the last call.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
}

impl<B: AsRef<[u8]>> State<B> {
    /// Memory of `len` bytes to be used again.
    pub fn take_written(&mut self, len: usize) -> Option<B> {
        let index = self.written.iter().position(|page| page.as_ref().len() == len)?;
        Some(self.written.swap_remove(index))
    }

    /// Whether memory of `len` bytes may yet become free by itself.
    pub fn expects(&self, len: usize) -> bool {
        let waiting = self.jobs.iter().any(|job| match job {
            Job::Write(_, page) => page.as_ref().len() == len,
            Job::Read => false,
        });
        waiting || self.writing.is_some_and(|ticket| ticket.place.len == len)
    }
}
