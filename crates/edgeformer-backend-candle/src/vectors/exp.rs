//! An exponential that loops can hold in vectors: the library's is a call for every number.

/// 1.5 · 2^23: what is added to it loses its fraction, and stands in its lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// Below, the result is no normal number any more: it is 0. `f32::exp` of it is below 1.2e-38.
const LEAST: f32 = -87.336_54;
/// Above, it is infinite: 2^128 is. `f32::exp` has numbers up to 88.7.
const MOST: f32 = 88.376;

/// e^x, within 2 units in the last place (2^n times a polynomial on ±ln 2 / 2, as in Cephes: Moshier,
/// "Methods and programs for mathematical functions", 1989).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let within = x.clamp(LEAST, MOST);
    let shifted = within * std::f32::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    // ln 2 in two parts: the first has so few bits that its product with n is exact.
    let r = (within - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p * r + factor;
    }
    let p = p * r * r + r + 1.0;
    // The exponent grows by n, which the lowest bits of the shifted number hold.
    let scaled = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    let finite = if x < LEAST { 0.0 } else { scaled };
    if x > MOST { f32::INFINITY } else { finite }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_librarys() {
        let mut worst = 0i64;
        let mut x = -87.3f32;
        while x < MOST {
            let (found, expected) = (exp(x), f64::from(x).exp() as f32);
            worst = worst.max((i64::from(found.to_bits()) - i64::from(expected.to_bits())).abs());
            x += 0.000_917;
        }
        assert!(worst <= 2, "{worst} units in the last place");
    }

    #[test]
    fn its_ends_are_zero_and_infinity() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }
}
