//! Persistent workers.
//!
//! A job is one closure that the caller and every worker that comes in time run together. Work
//! is shared inside the closure (see `items`), so a job is complete as soon as the caller finds
//! nothing left to do and those who entered have left.

use std::any::Any;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::gate::Gate;

/// Polls before a waiting thread goes to sleep: some tens of microseconds, longer than the gap
/// between two ops of a step, shorter than a time slice that others may want.
const SPINS: u32 = 1000;

/// The same with more threads than the system runs at once: who polls holds up who works.
const SPINS_CROWDED: u32 = 50;

/// What workers run.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(usize) + Sync));

// SAFETY: what it points to is `Sync`, and outlives the epoch in which workers follow it.
unsafe impl Send for Job {}

/// A caller's thread and `threads - 1` workers.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job runs: sessions that share a pool take turns, job by job.
    turn: Mutex<()>,
}

struct Shared {
    gate: Gate<Job>,
    /// Whether `panic` holds something: a look costs less than the lock.
    panicked: AtomicBool,
    /// What the first worker to panic panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller's included. Threads that the operating system
    /// refuses are done without.
    pub fn new(threads: usize) -> Self {
        let allowed = thread::available_parallelism().map_or(1, NonZero::get);
        let spins = if threads > allowed { SPINS_CROWDED } else { SPINS };
        let shared = Arc::new(Shared {
            gate: Gate::new(spins),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let workers = (1..threads)
            .map_while(|thread| {
                let shared = shared.clone();
                let worker = thread::Builder::new().name(format!("edgeformer-{thread}"));
                worker.spawn(move || shared.gate.serve(|job| shared.work(job, thread))).ok()
            })
            .collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads that may run a job at the same time, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on the calling thread as number 0 and on every worker that comes in time, each
    /// under a number of its own. Returns when all who came have finished. The job must not rely
    /// on more than one call, and must not call `run` itself.
    ///
    /// # Panics
    /// If a call of `job` does, once every other has finished.
    pub fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return job(0);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only the lifetime changes. Workers follow the pointer between entering and
        // leaving, and `close`, which is called on every path from here, outlasts that.
        let shared_job = Job(unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync)>(job)
        });
        // SAFETY: this caller holds the turn, and who held it before has closed.
        unsafe { self.shared.gate.open(shared_job) };
        let own = panic::catch_unwind(AssertUnwindSafe(|| job(0)));
        self.shared.gate.close();
        if let Some(payload) = own.err().or_else(|| self.shared.take_panic()) {
            // What another has panicked with is told once at most.
            self.shared.take_panic();
            panic::resume_unwind(payload);
        }
    }

    /// Tells whether the threads of the pool have ended.
    #[cfg(test)]
    pub(super) fn alive(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.upgrade().is_some()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.gate.shut();
        for worker in self.workers.drain(..) {
            // Panics of jobs are caught; a worker ends by returning.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn work(&self, job: Job, thread: usize) {
        // SAFETY: called inside the job's epoch, which ends before what it points to does.
        let job = unsafe { &*job.0 };
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| job(thread))) {
            let mut panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            panic.get_or_insert(payload);
            self.panicked.store(true, Ordering::Relaxed);
        }
    }

    /// What a worker panicked with. Leaving and closing the gate order the two sides.
    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        if !self.panicked.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
