//! From a value in units of its group's scale to the nearest code.

use edgeformer_core::quant::CODE_BOOK;

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
        // Two entries meet at a multiple of a half: the middle of an interval of that length is
        // on the side of either.
        let interval = whole(within(2.0 * value + 255.5, 0.0, 511.0));
        NEAREST[interval.to_bits() as usize % NEAREST.len()]
    }

    fn limits(self) -> (f32, f32) {
        (-f32::from(CODE_BOOK[0]), f32::from(CODE_BOOK[15]))
    }
}

/// The nearest entry for every interval of a half from -128 up.
const NEAREST: [f32; 512] = {
    let mut nearest = [0.0; 512];
    let mut code = 0;
    let mut at = 0;
    while at < nearest.len() {
        // The middle of the interval in quarters, as the middle of two entries is counted.
        let middle = 2 * (at as i32 - 256) + 1;
        while code < 15 && middle > 2 * (CODE_BOOK[code] as i32 + CODE_BOOK[code + 1] as i32) {
            code += 1;
        }
        nearest[at] = CODE_BOOK[code] as f32;
        at += 1;
    }
    nearest
};

/// The whole number nearest to a value within bounds; of two the even one, and `low` for NaN.
///
/// By the rounding of an addition and by comparisons that are one instruction each: searches
/// spend most of their time here.
#[inline(always)]
pub fn nearest(value: f32, low: f32, high: f32) -> f32 {
    whole(within(value, low, high)) - WHOLE
}

/// Floats around it are whole numbers, the lowest bits of which are their own.
const WHOLE: f32 = 12_582_912.0; // 1.5 * 2^23

/// A value below 2^22 in magnitude rounded, plus [`WHOLE`].
#[inline(always)]
fn whole(value: f32) -> f32 {
    value + WHOLE
}

#[inline(always)]
fn within(value: f32, low: f32, high: f32) -> f32 {
    let value = if value > low { value } else { low };
    if value < high { value } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_entry_is_nearest() {
        for value in -1200..1200 {
            let value = value as f32 / 8.0;
            let distance = |entry: f32| (value - entry).abs();
            let nearest = distance(Book.code(value));
            assert!(CODE_BOOK.iter().all(|&entry| nearest <= distance(entry.into())), "{value}");
        }
        assert_eq!(Book.code(f32::NAN), -127.0);
    }

    #[test]
    fn the_nearest_whole_number_is_nearest() {
        let range = Range { low: -8.0, high: 7.0 };
        for value in -1200..1200 {
            let value = value as f32 / 64.0;
            let code = range.code(value);
            assert_eq!(code, value.round_ties_even().clamp(-8.0, 7.0), "{value}");
        }
        assert_eq!(range.code(f32::NAN), -8.0);
        assert_eq!(range.code(f32::INFINITY), 7.0);
    }
}
