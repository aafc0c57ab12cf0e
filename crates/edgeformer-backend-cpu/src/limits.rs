//! What this machine can do at most: what the share that a kernel reaches is a share of.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use memmap2::MmapMut;

use crate::kernels::{Sequence, read, sequences};

/// How long one look at a sequence takes: long against the clock, short against what else the
/// machine does, so that one of several looks is undisturbed.
const LOOK: Duration = Duration::from_millis(3);
/// Looks at each.
const LOOKS: usize = 40;
/// Rounds between two looks at the clock.
const ROUNDS: u64 = 2000;

/// Operations a second that instruction sequences reach on so many threads at the same time, by
/// name; an addition and a multiplication are two. The best of several looks.
pub fn peaks(threads: usize) -> Vec<(&'static str, f64)> {
    sequences().iter().map(|sequence| (sequence.name, peak(sequence, threads))).collect()
}

fn peak(sequence: &Sequence, threads: usize) -> f64 {
    best(threads, &|_| {
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < LOOK {
            std::hint::black_box((sequence.run)(std::hint::black_box(ROUNDS)));
            rounds += ROUNDS;
        }
        (rounds * sequence.operations) as f64 / start.elapsed().as_secs_f64()
    })
}

/// Bytes a second that so many threads read from memory at the same time, each along four streams
/// through a part of `bytes` that is its own, on huge pages where the system grants them. The best
/// of several passes. To say something of memory, `bytes` must be a multiple of what caches hold.
///
/// # Errors
/// If the system does not give that much memory.
pub fn read_bandwidth(threads: usize, bytes: usize) -> std::io::Result<f64> {
    let each = (bytes / threads.max(1) / 64 * 64).max(64);
    let buffers: Vec<MmapMut> =
        (0..threads.max(1)).map(|_| filled(each)).collect::<std::io::Result<_>>()?;
    Ok(best(threads, &|thread| {
        let start = Instant::now();
        let words: &[u64] = bytemuck::cast_slice(&buffers[thread]);
        std::hint::black_box(read(words));
        each as f64 / start.elapsed().as_secs_f64()
    }))
}

/// Memory that is there and not all the same page.
fn filled(bytes: usize) -> std::io::Result<MmapMut> {
    let mut buffer = MmapMut::map_anon(bytes)?;
    #[cfg(target_os = "linux")]
    {
        // Without them the figure is a little lower, and still the machine's.
        let _refused = buffer.advise(memmap2::Advice::HugePage);
    }
    buffer.fill(1);
    Ok(buffer)
}

/// The most that all threads together did at the same time, of several looks at each thread.
fn best(threads: usize, look: &(dyn Fn(usize) -> f64 + Sync)) -> f64 {
    let barrier = Barrier::new(threads.max(1));
    let looks = |thread: usize| -> Vec<f64> {
        let one = |_| {
            barrier.wait();
            look(thread)
        };
        (0..LOOKS).map(one).collect()
    };
    let looks = &looks;
    let all: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads.max(1)).map(|thread| scope.spawn(move || looks(thread))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let together = (0..LOOKS).map(|look| all.iter().map(|thread| thread[look]).sum::<f64>());
    together.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_a_rate() {
        for threads in [1, 2] {
            let peaks = peaks(threads);
            assert!(peaks.iter().any(|(name, _)| *name == "f32 fma"));
            assert!(peaks.iter().all(|(_, rate)| rate.is_finite() && *rate > 1e6), "{peaks:?}");
            let read = read_bandwidth(threads, 1 << 20).unwrap();
            assert!(read.is_finite() && read > 1e6, "{read}");
        }
    }

    #[test]
    fn more_memory_than_there_is_is_refused() {
        assert!(read_bandwidth(1, usize::MAX / 2).is_err());
    }
}
