//! Loops that the compiler keeps in vectors, as wide as the processor has them.

mod exp;
mod lanes;

pub use exp::exp;
pub use lanes::{dot, max, sum_of};

/// Does work whose loops are compiled for the vectors of this processor too, rather than only for those
/// that every processor of its kind has. Nothing is reordered or fused: the bits are the same.
///
/// `work` has to be a function that is always inlined: what is only called, as closures are when the
/// compiler finds them long, keeps the vectors that it was compiled for.
#[inline(always)]
pub fn wide<A, T>(work: impl FnOnce(A) -> T, with: A) -> T {
    pulp::Arch::new().dispatch(Work { work, with })
}

struct Work<F, A> {
    work: F,
    with: A,
}

impl<A, T, F: FnOnce(A) -> T> pulp::WithSimd for Work<F, A> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> T {
        (self.work)(self.with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn work(values: &[f32]) -> ([f32; 3], Vec<f32>) {
        let powers: Vec<f32> = values.iter().map(|&value| exp(value)).collect();
        ([sum_of(values, exp), max(&powers), dot(&powers, values)], powers)
    }

    #[test]
    fn wide_loops_find_the_same_bits() {
        let values: Vec<f32> = (0..1003).map(|index| ((index * 37) % 101) as f32 - 50.3).collect();
        assert_eq!(wide(work, &values), work(&values));
    }
}
