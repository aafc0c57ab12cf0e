//! How workers learn of a job, come in, leave, and sleep.
//!
//! One word holds the protocol: `epoch | OPEN | workers inside`. The caller opens a new epoch with
//! a job; a worker enters by adding one to the word while it is `OPEN`; the caller closes it and
//! waits until nobody is inside. A worker that comes late finds the gate closed and goes on
//! waiting: nobody waits for it. That keeps more threads than cores from collapsing.
//!
//! Whoever waits polls for a while, then sleeps. The caller wakes one sleeper, and each that wakes
//! while the gate is open wakes two more: no thread pays for waking all, and no more wake than a
//! job lasts.

use std::sync::PoisonError;

use super::sync::{
    AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, UnsafeCell, fence, spin_loop,
};

const INSIDE: u64 = (1 << 16) - 1;
const OPEN: u64 = 1 << 16;
const EPOCH: u64 = 1 << 17;

/// Workers that one that wakes up wakes in turn.
const WAKES: usize = 2;

/// Lets workers in to one job after the other.
pub(super) struct Gate<J> {
    state: AtomicU64,
    job: UnsafeCell<Option<J>>,
    /// Workers asleep or about to be.
    sleepers: AtomicUsize,
    /// Polls before a waiting thread goes to sleep.
    spins: u32,
    /// Whether workers shall end. Held while anybody goes to sleep.
    shut: Mutex<bool>,
    /// Workers wait here for a job.
    wake: Condvar,
    /// The caller waits here for the last worker to leave.
    left: Condvar,
}

// SAFETY: `job` is the only part that is not `Sync` by itself. It is written by the caller while
// the word is not OPEN and nobody is inside, and copied by workers between entering and leaving;
// the word orders the two (release on opening and leaving, acquire on entering and closing).
unsafe impl<J: Copy + Send> Sync for Gate<J> {}

impl<J: Copy + Send> Gate<J> {
    pub fn new(spins: u32) -> Self {
        Self {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            sleepers: AtomicUsize::new(0),
            spins,
            shut: Mutex::new(false),
            wake: Condvar::new(),
            left: Condvar::new(),
        }
    }

    /// Opens a new epoch with `job`.
    ///
    /// # Safety
    /// One caller at a time, and the epoch before was closed.
    pub unsafe fn open(&self, job: J) {
        // SAFETY: the word is not OPEN and nobody is inside (the caller's promise), so no worker
        // reads the cell, and no other caller writes it.
        self.job.with_mut(|cell| unsafe { *cell = Some(job) });
        let epoch = self.state.load(Ordering::Relaxed) & !(OPEN | INSIDE);
        self.state.store(epoch.wrapping_add(EPOCH) | OPEN, Ordering::Release);
        self.wake(1);
    }

    /// Lets nobody in any more and waits until nobody is inside: what workers did is seen.
    pub fn close(&self) {
        let mut state = self.state.fetch_and(!OPEN, Ordering::AcqRel);
        for _ in 0..self.spins {
            if state & INSIDE == 0 {
                break;
            }
            spin_loop();
            state = self.state.load(Ordering::Acquire);
        }
        if state & INSIDE == 0 {
            return;
        }
        let mut guard = self.lock();
        while self.state.load(Ordering::Acquire) & INSIDE != 0 {
            guard = self.left.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A worker's life: `work` on every job that it comes in time for, until the gate is shut.
    /// `work` must not unwind.
    pub fn serve(&self, mut work: impl FnMut(J)) {
        let mut seen = 0;
        while let Some(epoch) = self.wait(seen) {
            seen = epoch;
            if self.enter(epoch) {
                // SAFETY: inside the open epoch the cell is not written until this worker leaves.
                let job = self.job.with(|cell| unsafe { *cell });
                job.into_iter().for_each(&mut work);
                self.leave();
            }
        }
    }

    /// Ends the workers.
    pub fn shut(&self) {
        *self.lock() = true;
        self.state.fetch_add(EPOCH, Ordering::Release);
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes up to `count` sleepers.
    fn wake(&self, count: usize) {
        // A worker announces itself before it looks at the word a last time, and both sides have
        // a fence between writing and looking: it sees this epoch, or it is seen here.
        fence(Ordering::SeqCst);
        let sleepers = self.sleepers.load(Ordering::Relaxed).min(count);
        if sleepers > 0 {
            // Who has announced itself sleeps by now, or sees the epoch.
            drop(self.lock());
            (0..sleepers).for_each(|_| self.wake.notify_one());
        }
    }

    /// The first epoch after `seen`, or `None` to stop.
    fn wait(&self, seen: u64) -> Option<u64> {
        for _ in 0..self.spins {
            let state = self.state.load(Ordering::Acquire);
            if state / EPOCH != seen {
                // The lock is taken to see a shutdown only when there is no job to enter.
                let stop = state & OPEN == 0 && *self.lock();
                return (!stop).then_some(state / EPOCH);
            }
            spin_loop();
        }
        let epoch = self.sleep(seen)?;
        if self.state.load(Ordering::Relaxed) & OPEN != 0 {
            self.wake(WAKES);
        }
        Some(epoch)
    }

    /// Sleeps until there is an epoch after `seen`, or `None` to stop.
    fn sleep(&self, seen: u64) -> Option<u64> {
        let mut shut = self.lock();
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while self.epoch() == seen && !*shut {
            shut = self.wake.wait(shut).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        (!*shut).then(|| self.epoch())
    }

    fn epoch(&self) -> u64 {
        self.state.load(Ordering::Acquire) / EPOCH
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
