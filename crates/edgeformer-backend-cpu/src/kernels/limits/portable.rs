use super::Sequence;

/// Sums that are kept at the same time: enough that no addition waits for the one before it.
const SUMS: usize = 64;

/// Multiplication and addition as plain Rust, in whatever vectors the target has at least.
pub(super) const MULTIPLY_ADD: Sequence =
    Sequence { name: "f32 fma", operations: 2 * SUMS as u64, run: multiply_add };

fn multiply_add(rounds: u64) -> f64 {
    let mut sums = [0.0f32; SUMS];
    let mut factor = 3.0f32;
    for _ in 0..rounds {
        factor = std::hint::black_box(factor);
        sums.iter_mut().for_each(|sum| *sum += factor);
    }
    sums.iter().map(|&sum| f64::from(sum)).sum()
}

/// Words of a cache line.
const LINE: usize = 8;

/// Reads along four streams: one stream alone leaves lanes to memory idle.
#[inline(always)]
pub(super) fn read(words: &[u64]) -> u64 {
    let quarter = words.len() / (4 * LINE) * LINE;
    let (streams, rest) = words.split_at(4 * quarter);
    let mut sums = [0u64; LINE];
    if quarter > 0 {
        let (a, b) = streams.split_at(2 * quarter);
        let ((a, b), (c, d)) = (a.split_at(quarter), b.split_at(quarter));
        let lines = a.chunks_exact(LINE).zip(b.chunks_exact(LINE));
        let lines = lines.zip(c.chunks_exact(LINE).zip(d.chunks_exact(LINE)));
        for ((a, b), (c, d)) in lines {
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum ^= a[at] ^ b[at] ^ c[at] ^ d[at];
            }
        }
    }
    sums.iter().chain(rest).fold(0, |all, word| all ^ word)
}
