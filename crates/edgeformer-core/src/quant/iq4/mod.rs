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
    NEAREST[(2.0 * value + 256.0).clamp(0.0, 511.0) as usize]
}

/// The nearest code for every half from -128 up: two entries meet at a whole number or a half.
const NEAREST: [u8; 512] = {
    let mut nearest = [0; 512];
    let (mut at, mut code) = (0, 0);
    while at < nearest.len() {
        // Past the middle between this entry and the next, both counted in halves from -128.
        while code < 15 && at as i32 - 256 >= CODE_BOOK[code] as i32 + CODE_BOOK[code + 1] as i32 {
            code += 1;
        }
        nearest[at] = code as u8;
        at += 1;
    }
    nearest
};

/// The best scale for values that are looked up: tries that put the extreme value on or near the
/// first entry of the book, or on the last.
fn best_scale(values: &[f32; 32]) -> f32 {
    let first = f32::from(CODE_BOOK[0]);
    let tries = (-7i8..=7).map(|step| first + f32::from(step));
    search::scale(values, tries.chain([-first]), |value| f32::from(look_up(nearest_code(value))))
}

/// The code of an entry of the book.
fn code_of(entry: i8) -> u8 {
    nearest_code(f32::from(entry))
}

fn look_up(code: u8) -> i8 {
    CODE_BOOK[usize::from(code)]
}
