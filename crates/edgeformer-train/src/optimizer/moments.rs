//! The moments of a weight's gradients, in f32 or in 8 bits a block.

use std::sync::LazyLock;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Elements that share a scale, as in the paper's section 2.1 (its 2048) and bitsandbytes (256).
pub(crate) const BLOCK: usize = 256;

/// Mean and mean square of the gradients of one weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Moments {
    /// As floats.
    Full { first: Vec<f32>, second: Vec<f32> },
    /// As codes, a scale a block.
    Eight { first: Coded, second: Coded },
}

/// Codes of [`SIGNED`] or [`UNSIGNED`] and the scale of every block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Coded {
    pub codes: Vec<u8>,
    pub scales: Vec<f32>,
}

/// The moments of one block.
pub(crate) enum BlockMut<'a> {
    Full { first: &'a mut [f32], second: &'a mut [f32] },
    Eight { first: (&'a mut [u8], &'a mut f32), second: (&'a mut [u8], &'a mut f32) },
}

/// Gives blocks of moments to threads.
pub(crate) trait MomentsMut {
    /// The moments, block by block.
    fn blocks_mut(&mut self) -> impl IndexedParallelIterator<Item = BlockMut<'_>>;
}

impl Moments {
    /// Those of a weight that has seen no gradient.
    pub fn zeros(elements: usize, eight_bit: bool) -> Self {
        if !eight_bit {
            return Self::Full { first: vec![0.0; elements], second: vec![0.0; elements] };
        }
        let coded = |zero| Coded {
            codes: vec![zero; elements],
            scales: vec![0.0; elements.div_ceil(BLOCK)],
        };
        Self::Eight { first: coded(SIGNED.nearest(0.0)), second: coded(UNSIGNED.nearest(0.0)) }
    }
}

impl Moments {
    /// Bytes of those of so many elements.
    pub fn bytes(elements: usize, eight_bit: bool) -> u64 {
        let of_one = match eight_bit {
            true => elements + 4 * elements.div_ceil(BLOCK),
            false => 4 * elements,
        };
        2 * of_one as u64
    }
}

impl MomentsMut for Moments {
    fn blocks_mut(&mut self) -> impl IndexedParallelIterator<Item = BlockMut<'_>> {
        let blocks: Vec<BlockMut<'_>> = match self {
            Self::Full { first, second } => {
                let blocks = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK));
                blocks.map(|(first, second)| BlockMut::Full { first, second }).collect()
            }
            Self::Eight { first, second } => {
                let blocks = first.blocks_mut().zip(second.blocks_mut());
                blocks.map(|(first, second)| BlockMut::Eight { first, second }).collect()
            }
        };
        blocks.into_par_iter()
    }
}

impl Coded {
    fn blocks_mut(&mut self) -> impl Iterator<Item = (&mut [u8], &mut f32)> {
        self.codes.chunks_mut(BLOCK).zip(&mut self.scales)
    }
}

impl BlockMut<'_> {
    /// Lets `change` see `count` moments as floats and keeps what it leaves.
    pub fn change(self, count: usize, change: impl FnOnce(&mut [f32], &mut [f32])) {
        match self {
            BlockMut::Full { first, second } => change(first, second),
            BlockMut::Eight { first, second } => {
                let (mut means, mut squares) = ([0.0; BLOCK], [0.0; BLOCK]);
                let (means, squares) = (&mut means[..count], &mut squares[..count]);
                SIGNED.decode(first.0, *first.1, means);
                UNSIGNED.decode(second.0, *second.1, squares);
                change(means, squares);
                *first.1 = SIGNED.encode(means, first.0);
                *second.1 = UNSIGNED.encode(squares, second.0);
            }
        }
    }
}

/// The values that 8-bit codes stand for, in rising order, the largest 1: dynamic tree
/// quantization (Dettmers et al. 2022, section 1.3). Leading zero bits count decimal places, the
/// bits behind the first one divide the place evenly.
struct Codebook {
    values: Vec<f32>,
}

static SIGNED: LazyLock<Codebook> = LazyLock::new(|| Codebook::new(true));
static UNSIGNED: LazyLock<Codebook> = LazyLock::new(|| Codebook::new(false));

impl Codebook {
    fn new(signed: bool) -> Self {
        let bits = if signed { 7 } else { 8 };
        let mut values = vec![0.0];
        for zeros in 0..bits {
            let steps = 1u32 << (bits - 1 - zeros);
            let place = 10f64.powi(-zeros);
            for step in 0..steps {
                // The middles of equal parts of 0.1 to 1; the last code of all is 1 itself.
                let part = 0.1 + 0.9 * (f64::from(step) + 0.5) / f64::from(steps);
                let last = zeros == 0 && step + 1 == steps;
                values.push(if last { 1.0 } else { (place * part) as f32 });
            }
        }
        if signed {
            values.extend(values.clone().into_iter().filter(|&value| value > 0.0).map(|v| -v));
        }
        values.sort_by(f32::total_cmp);
        Self { values }
    }

    fn nearest(&self, value: f32) -> u8 {
        let above = self.values.partition_point(|&known| known < value);
        let above = above.min(self.values.len() - 1);
        let below = above.saturating_sub(1);
        let closer = value - self.values[below] < self.values[above] - value;
        (if closer { below } else { above }) as u8
    }

    fn decode(&self, codes: &[u8], scale: f32, values: &mut [f32]) {
        for (value, &code) in values.iter_mut().zip(codes) {
            *value = scale * self.values[usize::from(code)];
        }
    }

    fn encode(&self, values: &[f32], codes: &mut [u8]) -> f32 {
        let scale = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for (code, value) in codes.iter_mut().zip(values) {
            *code = self.nearest(value * inverse);
        }
        scale
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codebooks_fit_a_byte_and_know_zero_and_one() {
        for book in [&SIGNED, &UNSIGNED] {
            assert!(book.values.len() <= 256 && book.values.is_sorted());
            assert_eq!(book.values[usize::from(book.nearest(0.0))], 0.0);
            assert_eq!(book.values[usize::from(book.nearest(1.0))], 1.0);
        }
        assert_eq!(SIGNED.values[usize::from(SIGNED.nearest(-1.0))], -1.0);
    }

    proptest! {
        #[test]
        fn the_nearest_code_is_found(value in -1.0f32..1.0) {
            for book in [&SIGNED, &UNSIGNED] {
                let found = book.values[usize::from(book.nearest(value))];
                let best = book.values.iter().map(|known| (known - value).abs());
                let best = best.min_by(f32::total_cmp).unwrap();
                prop_assert_eq!((found - value).abs(), best);
            }
        }

        #[test]
        fn a_block_comes_back_within_a_fraction_of_each_value(
            values in prop::collection::vec(-3f32..3.0, 1..BLOCK)
        ) {
            let mut codes = vec![0; values.len()];
            let scale = SIGNED.encode(&values, &mut codes);
            let mut back = vec![0.0; values.len()];
            SIGNED.decode(&codes, scale, &mut back);
            for (value, back) in values.iter().zip(&back) {
                let error = (value - back).abs();
                prop_assert!(error <= 0.011 * scale && error <= 0.6 * value.abs() + 1e-6 * scale);
            }
        }
    }
}
