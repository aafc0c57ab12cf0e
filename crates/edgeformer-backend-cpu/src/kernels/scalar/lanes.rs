//! The order of every f32 reduction: lane `l` of eight adds up elements `l`, `l + 8`, …; the
//! lanes are then added in pairs. Shorter chains of rounding than one running sum, and an order
//! that SIMD units can keep.

/// Partial sums.
pub(super) type Lanes = [f32; 8];

/// Adds `term(i)` for every `i` in `0..len`.
pub(super) fn sum(len: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = Lanes::default();
    let whole = len / 8 * 8;
    for start in (0..whole).step_by(8) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for (index, sum) in (whole..len).zip(&mut lanes) {
        *sum += term(index);
    }
    reduce(&lanes)
}

/// Adds up the lanes.
pub(super) fn reduce(lanes: &Lanes) -> f32 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
