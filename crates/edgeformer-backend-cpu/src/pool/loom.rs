//! The protocol of the pool, checked under every order of events that the memory model allows:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p edgeformer-backend-cpu --lib pool::loom --target-dir target/loom
//! ```

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::gate::Gate;
use super::queue::Queue;

/// Runs `test` under all orders with up to this many preemptions: enough for every bug known of
/// such protocols (Musuvathi, Qadeer: PLDI 2007), and few enough for seconds.
fn check(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

/// What jobs of these tests work on. Loom notices a worker that still reads one outside its epoch.
struct Data {
    parts: [UnsafeCell<usize>; 2],
    calls: [AtomicUsize; 2],
}

// SAFETY: `parts` are written while no job is open, and read by workers inside the gate; the model
// checker notices where that does not hold.
unsafe impl Sync for Data {}

impl Data {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            parts: [UnsafeCell::new(0), UnsafeCell::new(0)],
            calls: [AtomicUsize::new(0), AtomicUsize::new(0)],
        })
    }

    fn write(&self, job: usize) {
        // SAFETY: no job is open.
        self.parts[job].with_mut(|part| unsafe { *part = job + 1 });
    }

    fn visit(&self, job: usize) {
        // SAFETY: inside the epoch of `job`.
        assert_eq!(self.parts[job].with(|part| unsafe { *part }), job + 1);
        self.calls[job].fetch_add(1, Ordering::Relaxed);
    }
}

fn worker(gate: &Arc<Gate<usize>>, data: &Arc<Data>) -> thread::JoinHandle<()> {
    let (gate, data) = (gate.clone(), data.clone());
    thread::spawn(move || gate.serve(|job| data.visit(job)))
}

/// Two jobs, one after the other: workers see the job of the epoch they are in, never after it
/// was closed, each at most once; shutting ends them, asleep or not.
fn two_jobs(workers: usize, spins: u32, preemptions: usize) {
    check(preemptions, move || {
        let (gate, data) = (Arc::new(Gate::new(spins)), Data::new());
        let workers: Vec<_> = (0..workers).map(|_| worker(&gate, &data)).collect();
        for job in 0..2 {
            data.write(job);
            // SAFETY: the only caller, and the job before was closed.
            unsafe { gate.open(job) };
            data.visit(job);
            gate.close();
            // A worker inside now would be one that reads what is written here.
            data.parts[job].with_mut(|_| ());
            let calls = data.calls[job].load(Ordering::Relaxed);
            assert!((1..=workers.len() + 1).contains(&calls));
        }
        gate.shut();
        workers.into_iter().for_each(|worker| worker.join().expect("a worker does not panic"));
    });
}

#[test]
fn a_worker_that_sleeps_at_once() {
    two_jobs(1, 0, 3);
}

#[test]
fn a_worker_that_polls_first() {
    two_jobs(1, 2, 3);
}

#[test]
fn two_workers() {
    two_jobs(2, 0, 1);
}

/// Nobody sleeps through a job that stays open: each that wakes wakes the next.
fn wakes_all(workers: usize, spins: u32, preemptions: usize) {
    check(preemptions, move || {
        let gate = Arc::new(Gate::new(spins));
        let came = Arc::new((Mutex::new(0), Condvar::new()));
        let come = |gate: Arc<Gate<()>>, came: Arc<(Mutex<usize>, Condvar)>| {
            move || {
                gate.serve(|()| {
                    *came.0.lock().expect("nobody panics") += 1;
                    came.1.notify_one();
                });
            }
        };
        let threads: Vec<_> =
            (0..workers).map(|_| thread::spawn(come(gate.clone(), came.clone()))).collect();
        // SAFETY: the only caller, and no job was open before.
        unsafe { gate.open(()) };
        // A lost wake-up would leave everybody waiting, which loom reports.
        let mut count = came.0.lock().expect("nobody panics");
        while *count < workers {
            count = came.1.wait(count).expect("nobody panics");
        }
        drop(count);
        gate.close();
        gate.shut();
        threads.into_iter().for_each(|worker| worker.join().expect("a worker does not panic"));
    });
}

#[test]
fn an_open_job_wakes_every_sleeper() {
    wakes_all(1, 0, 3);
    wakes_all(1, 1, 3);
    wakes_all(2, 0, 1);
}

/// A gate that is shut before its worker has looked the first time.
#[test]
fn shutting_at_any_moment_ends_a_worker() {
    for spins in [0, 1] {
        check(3, move || {
            let (gate, data) = (Arc::new(Gate::new(spins)), Data::new());
            let worker = worker(&gate, &data);
            gate.shut();
            worker.join().expect("a worker does not panic");
        });
    }
}

#[test]
fn every_item_of_a_queue_is_taken_once() {
    check(3, || {
        const ITEMS: usize = 20;
        let queue = Arc::new(Queue::new(0..ITEMS, 2));
        let taken: Arc<Vec<_>> = Arc::new((0..ITEMS).map(|_| AtomicUsize::new(0)).collect());
        let take = |queue: Arc<Queue<_>>, taken: Arc<Vec<AtomicUsize>>| {
            move || {
                let mut batch = queue.take();
                while batch[0].is_some() {
                    batch.into_iter().flatten().for_each(|item: usize| {
                        taken[item].fetch_add(1, Ordering::Relaxed);
                    });
                    batch = queue.take();
                }
            }
        };
        let other = thread::spawn(take(queue.clone(), taken.clone()));
        take(queue, taken.clone())();
        other.join().expect("taking does not panic");
        assert!(taken.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    });
}
