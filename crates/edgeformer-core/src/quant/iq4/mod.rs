//! The IQ4 formats: 4-bit codes that look values up in a book, denser around zero.

mod nl;
mod xs;

pub use nl::Iq4Nl;
pub use xs::Iq4Xs;

use super::k::search;

/// What the 4-bit codes of IQ4_NL and IQ4_XS stand for, ascending.
pub const CODE_BOOK: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The code whose entry of [`CODE_BOOK`] is nearest to a value; of two, the larger.
pub fn nearest_code(value: f32) -> u8 {
    let above = CODE_BOOK.partition_point(|&entry| f32::from(entry) <= value);
    let (low, high) = (above.saturating_sub(1), above.min(15));
    let nearer_low = value - f32::from(CODE_BOOK[low]) < f32::from(CODE_BOOK[high]) - value;
    (if nearer_low { low } else { high }) as u8
}

/// The best scale for values that are looked up: tries that put the extreme value on or near the
/// first entry of the book.
fn best_scale(values: &[f32; 32]) -> f32 {
    let first = f32::from(CODE_BOOK[0]);
    let tries = (-7i8..=7).map(|step| first + f32::from(step));
    search::scale(values, tries, |value| CODE_BOOK[usize::from(nearest_code(value))])
}

fn look_up(code: u8) -> i8 {
    CODE_BOOK[usize::from(code)]
}
