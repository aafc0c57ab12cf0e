//! Persistent workers.
//!
//! A job is one closure that the caller and every worker that comes in time run together. Work
//! is shared inside the closure (see `items`), so a job is complete as soon as the caller finds
//! nothing left to do and those who entered have left: a worker that the operating system has put
//! aside is not waited for. That keeps more threads than cores from collapsing.
//!
//! One word holds the protocol: `epoch | OPEN | workers inside`. A worker enters by adding one to
//! it while it is `OPEN`; the caller closes it and waits until nobody is inside.

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Polls before a waiting thread goes to sleep: some tens of microseconds, longer than the gap
/// between two ops of a step, shorter than a time slice that others may want.
const SPINS: u32 = 1000;

const INSIDE: u64 = (1 << 16) - 1;
const OPEN: u64 = 1 << 16;
const EPOCH: u64 = 1 << 17;

type Job = *const (dyn Fn(usize) + Sync);

/// A caller's thread and `threads - 1` workers.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job runs: sessions that share a pool take turns, job by job.
    turn: Mutex<()>,
}

struct Shared {
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// Workers asleep or about to be.
    sleepers: AtomicUsize,
    sleep: Mutex<Sleep>,
    /// Workers wait here for a job.
    wake: Condvar,
    /// The caller waits here for the last worker to leave.
    left: Condvar,
}

#[derive(Default)]
struct Sleep {
    shutdown: bool,
    /// What the first worker to panic panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

// SAFETY: `job` is the only part that is not `Sync` by itself. It is written by the holder of
// `turn` while the word is not OPEN and nobody is inside, and read by workers between entering
// and leaving; the word orders the two (release on publishing and leaving, acquire on entering
// and closing). What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is only followed as said above, whichever thread owns `Shared`.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the caller's included. Threads that the operating system
    /// refuses are done without.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::default(),
            wake: Condvar::new(),
            left: Condvar::new(),
        });
        let workers = (1..threads)
            .map_while(|thread| {
                let shared = shared.clone();
                let worker = thread::Builder::new().name(format!("edgeformer-{thread}"));
                worker.spawn(move || shared.work(thread)).ok()
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
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.workers.is_empty() {
            return job(0);
        }
        self.shared.publish(job);
        let own = panic::catch_unwind(AssertUnwindSafe(|| job(0)));
        let theirs = self.shared.close();
        if let Some(payload) = own.err().or(theirs) {
            panic::resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().shutdown = true;
        self.shared.state.fetch_add(EPOCH, Ordering::SeqCst);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // Panics of jobs are caught; a worker ends by returning.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Sleep> {
        self.sleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a new epoch with `job`. The caller holds the turn and calls `close` before `job` ends.
    fn publish(&self, job: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes. Workers follow the pointer between entering and
        // leaving, and `close`, which `run` calls on every path, outlasts that.
        let job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), Job>(job) };
        // SAFETY: the caller holds the turn and the last job was closed, so the word is not OPEN
        // and nobody is inside: no worker reads the cell.
        unsafe { *self.job.get() = Some(job) };
        let epoch = self.state.load(Ordering::Relaxed) & !(OPEN | INSIDE);
        self.state.store(epoch.wrapping_add(EPOCH) | OPEN, Ordering::SeqCst);
        // A worker announces itself before it looks at the word a last time, and both sides are
        // sequentially consistent: it sees this epoch, or it is seen here.
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.lock());
            self.wake.notify_all();
        }
    }

    /// Lets nobody in any more, waits until nobody is inside, returns a worker's panic.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.state.fetch_and(!OPEN, Ordering::SeqCst);
        for _ in 0..SPINS {
            if state & INSIDE == 0 {
                break;
            }
            hint::spin_loop();
            state = self.state.load(Ordering::Acquire);
        }
        let mut sleep = self.lock();
        while self.state.load(Ordering::Acquire) & INSIDE != 0 {
            sleep = self.left.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        sleep.panic.take()
    }

    /// A worker's life.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        while let Some(epoch) = self.wait(seen) {
            seen = epoch;
            if self.enter(epoch) {
                // SAFETY: inside the open epoch: the cell is not written until this worker has
                // left, and what it points to lives until then.
                let job = unsafe { (*self.job.get()).map(|job| &*job) };
                let done = panic::catch_unwind(AssertUnwindSafe(|| {
                    if let Some(job) = job {
                        job(thread);
                    }
                }));
                if let Err(payload) = done {
                    self.lock().panic.get_or_insert(payload);
                }
                self.leave();
            }
        }
    }

    /// The first epoch after `seen`, or `None` to stop.
    fn wait(&self, seen: u64) -> Option<u64> {
        for _ in 0..SPINS {
            let epoch = self.epoch();
            if epoch != seen {
                // The lock is taken to see a shutdown only when there is no job to enter.
                let open = self.state.load(Ordering::Acquire) & OPEN != 0;
                return (open || !self.lock().shutdown).then_some(epoch);
            }
            hint::spin_loop();
        }
        let mut sleep = self.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.epoch() == seen && !sleep.shutdown {
            sleep = self.wake.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        (!sleep.shutdown).then(|| self.epoch())
    }

    fn epoch(&self) -> u64 {
        self.state.load(Ordering::SeqCst) / EPOCH
    }

    /// Whether the worker came while `epoch` was open, and is now inside.
    fn enter(&self, epoch: u64) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        while state / EPOCH == epoch && state & OPEN != 0 {
            match self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    fn leave(&self) {
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        if before & INSIDE == 1 && before & OPEN == 0 {
            // The lock is what makes a caller that has just looked wait first.
            drop(self.lock());
            self.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            for round in 0..200 {
                let mut items = vec![0u32; round];
                pool.for_each(items.iter_mut().enumerate(), |thread, (index, item)| {
                    assert!(thread < threads);
                    *item += index as u32 + 1;
                });
                assert!(items.iter().enumerate().all(|(index, &item)| item == index as u32 + 1));
            }
        }
    }

    #[test]
    fn thread_numbers_are_exclusive() {
        let pool = Pool::new(4);
        let busy: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
        pool.for_each(0..2000, |thread, _| {
            assert_eq!(busy[thread].fetch_add(1, Ordering::SeqCst), 0);
            hint::spin_loop();
            busy[thread].fetch_sub(1, Ordering::SeqCst);
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            let result = panic::catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(0..100, |_, item| assert!(item != 57, "item 57"));
            }));
            assert!(result.is_err());
            let sum = AtomicU32::new(0);
            pool.for_each(0..100, |_, item| {
                sum.fetch_add(item, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }

    #[test]
    fn several_callers_take_turns() {
        let pool = Pool::new(3);
        let sum = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.for_each(0..10, |_, item| {
                            sum.fetch_add(item, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 100 * 45);
    }

    #[test]
    fn sleeping_workers_wake_and_dropping_joins() {
        let pool = Pool::new(4);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(5));
            let calls = AtomicU32::new(0);
            pool.for_each(0..64, |_, _| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(calls.into_inner(), 64);
        }
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert!(shared.upgrade().is_none());
    }
}
