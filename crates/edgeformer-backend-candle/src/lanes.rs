//! Loops that the compiler can keep in vectors: sums of several numbers side by side.

/// Numbers side by side.
const LANES: usize = 16;

/// All values joined into one; the order is the same for every length.
pub(crate) fn fold(values: &[f32], start: f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(start, |one, &other| join(one, other));
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, value);
        }
    }
    lanes.into_iter().fold(rest, join)
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out() {
        for length in [0, 1, 15, 16, 17, 70] {
            let values: Vec<f32> = (0..length).map(|value| value as f32).collect();
            let sum: f32 = values.iter().sum();
            let squares: f32 = values.iter().map(|value| value * value).sum();
            assert_eq!(fold(&values, 0.0, |a, b| a + b), sum);
            assert_eq!(dot(&values, &values), squares);
        }
    }
}
