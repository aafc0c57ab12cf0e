//! From a value in units of its group's scale to the nearest code.

use edgeformer_core::quant::{CODE_BOOK, nearest_code};

/// Rounds to codes, as floats.
pub trait Coder: Copy {
    /// The code nearest to a value that is finite.
    fn code(self, value: f32) -> f32;

    /// The largest code in magnitude on either side of zero: below, above.
    fn limits(self) -> (f32, f32);
}

/// The whole numbers between two, both included and below 2^22.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The lowest.
    pub low: f32,
    /// The highest.
    pub high: f32,
}

impl Coder for Range {
    #[inline(always)]
    fn code(self, value: f32) -> f32 {
        nearest(value, self.low, self.high)
    }

    fn limits(self) -> (f32, f32) {
        (-self.low, self.high)
    }
}

/// The entries of [`CODE_BOOK`].
#[derive(Debug, Clone, Copy)]
pub struct Book;

impl Coder for Book {
    #[inline(always)]
    fn code(self, value: f32) -> f32 {
        ENTRIES[usize::from(nearest_code(value)) & 15]
    }

    fn limits(self) -> (f32, f32) {
        (-ENTRIES[0], ENTRIES[15])
    }
}

const ENTRIES: [f32; 16] = {
    let mut entries = [0.0; 16];
    let mut i = 0;
    while i < 16 {
        entries[i] = CODE_BOOK[i] as f32;
        i += 1;
    }
    entries
};

/// The whole number nearest to a value within bounds; of two the even one, and `low` for NaN.
///
/// By the rounding of an addition and by comparisons that are one instruction each: searches
/// spend most of their time here.
#[inline(always)]
pub fn nearest(value: f32, low: f32, high: f32) -> f32 {
    const ONES: f32 = 12_582_912.0; // 1.5 * 2^23: floats around it are whole numbers
    let value = if value > low { value } else { low };
    let value = if value < high { value } else { high };
    value + ONES - ONES
}
