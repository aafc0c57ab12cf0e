//! Elementary functions of four floats, as the AVX2 table has them: the same polynomials, and the
//! same sources.

use std::arch::aarch64::*;
use std::f32::consts::LOG2_E;

use crate::kernels::scalar::normal::MILLS;

/// `coefficients[0] + x * (coefficients[1] + …)`.
#[inline]
#[target_feature(enable = "neon")]
fn polynomial<const N: usize>(x: float32x4_t, coefficients: [f32; N]) -> float32x4_t {
    let mut sum = vdupq_n_f32(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = vfmaq_f32(vdupq_n_f32(coefficient), sum, x);
    }
    sum
}

/// `exp(x)` within 1.5 units in the last place, down to the subnormals; NaN stays NaN.
///
/// `exp(x) = 2^n exp(r)` with `n` the integer nearest to `x / ln 2`, so that `|r| <= ln 2 / 2`
/// (Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 6).
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn exp(x: float32x4_t) -> float32x4_t {
    // Beyond these bounds the result is zero or infinite. NaN passes both.
    let x = vminq_f32(vdupq_n_f32(89.0), x);
    let x = vmaxq_f32(vdupq_n_f32(-104.0), x);
    let n = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(LOG2_E)));
    // ln 2 in two parts; `n` times the first, which has 15 bits, is exact.
    let r = vfmsq_f32(x, n, vdupq_n_f32(0.693_145_75));
    let r = vfmsq_f32(r, n, vdupq_n_f32(1.428_606_8e-6));
    let tail =
        polynomial(r, [0.499_999_93, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_46]);
    let y = vfmaq_f32(r, vmulq_f32(r, r), tail);
    let y = vaddq_f32(y, vdupq_n_f32(1.0));
    // 2^n in two factors, for `n` from -150 to 128 is more than one exponent can hold.
    let n = vcvtq_s32_f32(n);
    let half = vshrq_n_s32::<1>(n);
    let y = vmulq_f32(y, power_of_two(half));
    vmulq_f32(y, power_of_two(vsubq_s32(n, half)))
}

/// `2^n` for `n` from -126 to 127.
#[inline]
#[target_feature(enable = "neon")]
fn power_of_two(n: int32x4_t) -> float32x4_t {
    vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127))))
}

/// `x / (1 + exp(-y))`: SiLU for `y = x`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn over_one_plus_exp(x: float32x4_t, y: float32x4_t) -> float32x4_t {
    vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0), exp(vnegq_f32(y))))
}

/// `tanh(x)`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn tanh(x: float32x4_t) -> float32x4_t {
    let magnitude = vabsq_f32(x);
    // Far from zero: 1 - 2 / (exp(2x) + 1).
    let e = exp(vaddq_f32(magnitude, magnitude));
    let one = vdupq_n_f32(1.0);
    let far = vsubq_f32(one, vdivq_f32(vdupq_n_f32(2.0), vaddq_f32(e, one)));
    let sign = vdupq_n_u32(1 << 31);
    let far = vbslq_f32(sign, x, far);
    // Near zero, where that cancels: an odd polynomial.
    let square = vmulq_f32(x, x);
    let tail = polynomial(
        square,
        [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_087, -0.005_704_986],
    );
    let near = vfmaq_f32(x, vmulq_f32(x, square), tail);
    vbslq_f32(vcltq_f32(magnitude, vdupq_n_f32(0.625)), near, far)
}

/// `Φ(x)`, the distribution function of the standard normal distribution; see [`MILLS`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn normal(x: float32x4_t) -> float32x4_t {
    let one = vdupq_n_f32(1.0);
    let z = vabsq_f32(x);
    let u = vdivq_f32(one, vfmaq_f32(one, z, vdupq_n_f32(0.25)));
    let ratio = vmulq_f32(u, polynomial(u, MILLS.map(|coefficient| coefficient as f32)));
    // exp(-z²/2): what rounding takes from z²/2 is given back, exp(-a - b) = exp(-a) (1 - b).
    let half_z = vmulq_f32(z, vdupq_n_f32(0.5));
    let a = vmulq_f32(z, half_z);
    let b = vfmaq_f32(vnegq_f32(a), z, half_z);
    let e = exp(vnegq_f32(a));
    // Where the square overflows, `b` is no number and `e` is zero.
    let fits = vcltq_f32(a, vdupq_n_f32(128.0));
    let b = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(b), fits));
    let tail = vmulq_f32(ratio, vfmsq_f32(e, e, b));
    let is_left = vcltzq_s32(vreinterpretq_s32_f32(x)); // its sign bit
    vbslq_f32(is_left, tail, vsubq_f32(one, tail))
}

#[cfg(test)]
mod tests {
    use super::super::vector::map;
    use super::*;

    #[target_feature(enable = "neon")]
    fn exp_of(x: &mut [f32]) {
        map(x, |x| exp(x));
    }

    fn exps(x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        // SAFETY: what runs this has NEON.
        unsafe { exp_of(&mut y) };
        y
    }

    #[test]
    fn exp_is_good_to_one_and_a_half_units() {
        let positive = (0..100f32.to_bits()).step_by(9973).map(f32::from_bits);
        let negative = (0..110f32.to_bits()).step_by(9973).map(|bits| -f32::from_bits(bits));
        let x: Vec<_> = positive.chain(negative).collect();
        for (y, x) in exps(&x).into_iter().zip(x) {
            let exact = f64::from(x).exp();
            if exact > f64::from(f32::MAX) {
                assert!(y == f32::INFINITY || exact < 1.000_001 * f64::from(f32::MAX), "{x}");
                continue;
            }
            let nearest = exact as f32;
            let unit = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
            let error = (f64::from(y) - exact).abs();
            assert!(error <= 1.5 * unit, "exp({x:e}) is {y:e}, not {exact:e}");
        }
    }

    #[test]
    fn exp_of_what_is_not_finite() {
        let x = [f32::NEG_INFINITY, f32::INFINITY, f32::MIN, f32::MAX, 0.0, -0.0];
        assert_eq!(exps(&x), [0.0, f32::INFINITY, 0.0, f32::INFINITY, 1.0, 1.0]);
        assert!(exps(&[f32::NAN])[0].is_nan());
    }
}
