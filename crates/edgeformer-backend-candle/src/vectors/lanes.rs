//! Loops that the compiler can keep in vectors: sums of several numbers side by side.

/// Numbers side by side.
const LANES: usize = 16;

/// The largest value; minus infinity of none. The order is the same for every length.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane = larger(*lane, value));
    }
    lanes.into_iter().fold(rest, larger)
}

/// The sum of what is made of values, in an order that is the same for every length.
#[inline(always)]
pub fn sum_of(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&value| of(value)).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += of(value));
    }
    lanes.into_iter().sum::<f32>() + rest
}

/// The sum of products, in an order that is the same for every length.
///
/// # Panics
/// If one is longer than the other by 16 or more.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
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
            assert_eq!(sum_of(&values, |value| value), sum);
            assert_eq!(sum_of(&values, |value| value * value), squares);
            assert_eq!(max(&values), values.last().copied().unwrap_or(f32::NEG_INFINITY));
            assert_eq!(dot(&values, &values), squares);
        }
    }
}
