use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::Pool;

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
    let alive = pool.alive();
    drop(pool);
    assert!(!alive());
}

/// All who are asleep are woken by one another as long as there is work.
#[test]
fn every_worker_comes_to_a_long_job() {
    let pool = Pool::new(6);
    thread::sleep(std::time::Duration::from_millis(5));
    let came = AtomicU32::new(0);
    pool.run(&|_| {
        came.fetch_add(1, Ordering::SeqCst);
        while came.load(Ordering::SeqCst) < 6 {
            thread::yield_now();
        }
    });
    assert_eq!(came.into_inner(), 6);
}

/// More threads than any of these jobs has items: most sleep through most of them.
#[test]
fn nobody_waits_for_a_worker_that_does_not_come() {
    let pool = Pool::new(64);
    for _ in 0..2000 {
        let calls = AtomicU32::new(0);
        pool.for_each(0..3, |_, _| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 3);
    }
}

/// What a job costs besides its work. For people:
/// `cargo test --release -p edgeformer-backend-cpu --lib pool::tests::overhead -- --ignored --nocapture`
#[test]
#[ignore = "prints timings"]
fn overhead() {
    const JOBS: u32 = 20_000;
    for threads in [2, 4, 8] {
        let pool = Pool::new(threads);
        let time = |name: &str, job: &dyn Fn()| {
            let rounds = (0..7).map(|_| {
                let start = std::time::Instant::now();
                (0..JOBS).for_each(|_| job());
                start.elapsed().as_nanos() as u32 / JOBS
            });
            println!("{threads} threads, {name}: {} ns", rounds.min().unwrap());
        };
        time("an empty job", &|| pool.run(&|_| {}));
        time("64 empty items", &|| {
            pool.for_each(0..64, |_, item| {
                hint::black_box(item);
            })
        });
        time("64 items of about a microsecond", &|| {
            pool.for_each(0..64, |_, _| {
                (0..1500).for_each(|step| {
                    hint::black_box(step);
                })
            });
        });
    }
}
