//! Elementary functions of eight floats. The polynomials were fitted for this crate by reweighted
//! least squares on Chebyshev nodes (an approximation to the minimax polynomial).

use std::arch::x86_64::*;
use std::f32::consts::LOG2_E;

use crate::kernels::scalar::normal::MILLS;

/// `coefficients[0] + x * (coefficients[1] + …)`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn polynomial<const N: usize>(x: __m256, coefficients: [f32; N]) -> __m256 {
    let mut sum = _mm256_set1_ps(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = _mm256_fmadd_ps(sum, x, _mm256_set1_ps(coefficient));
    }
    sum
}

/// `exp(x)` within 1.5 units in the last place, down to the subnormals; NaN stays NaN.
///
/// `exp(x) = 2^n exp(r)` with `n` the integer nearest to `x / ln 2`, so that `|r| <= ln 2 / 2`
/// (Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 6).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp(x: __m256) -> __m256 {
    // Beyond these bounds the result is zero or infinite. `min` and `max` return their second
    // operand if one is NaN.
    let x = _mm256_min_ps(_mm256_set1_ps(89.0), x);
    let x = _mm256_max_ps(_mm256_set1_ps(-104.0), x);
    let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(_mm256_mul_ps(
        x,
        _mm256_set1_ps(LOG2_E),
    ));
    // ln 2 in two parts; `n` times the first, which has 15 bits, is exact.
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693_145_75), x);
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.428_606_8e-6), r);
    let tail =
        polynomial(r, [0.499_999_93, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_46]);
    let y = _mm256_fmadd_ps(_mm256_mul_ps(r, r), tail, r);
    let y = _mm256_add_ps(y, _mm256_set1_ps(1.0));
    // 2^n in two factors, for `n` from -150 to 128 is more than one exponent can hold.
    let n = _mm256_cvtps_epi32(n);
    let half = _mm256_srai_epi32::<1>(n);
    let y = _mm256_mul_ps(y, power_of_two(half));
    _mm256_mul_ps(y, power_of_two(_mm256_sub_epi32(n, half)))
}

/// `2^n` for `n` from -126 to 127.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn power_of_two(n: __m256i) -> __m256 {
    let biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

/// `x / (1 + exp(-y))`: SiLU for `y = x`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn over_one_plus_exp(x: __m256, y: __m256) -> __m256 {
    let minus_y = _mm256_xor_ps(y, _mm256_set1_ps(-0.0));
    _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0), exp(minus_y)))
}

/// `tanh(x)`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tanh(x: __m256) -> __m256 {
    let sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0));
    let magnitude = _mm256_xor_ps(x, sign);
    // Far from zero: 1 - 2 / (exp(2x) + 1).
    let e = exp(_mm256_add_ps(magnitude, magnitude));
    let one = _mm256_set1_ps(1.0);
    let quotient = _mm256_div_ps(_mm256_set1_ps(2.0), _mm256_add_ps(e, one));
    let far = _mm256_or_ps(_mm256_sub_ps(one, quotient), sign);
    // Near zero, where that cancels: an odd polynomial.
    let square = _mm256_mul_ps(x, x);
    let tail = polynomial(
        square,
        [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_087, -0.005_704_986],
    );
    let near = _mm256_fmadd_ps(_mm256_mul_ps(x, square), tail, x);
    let is_near = _mm256_cmp_ps::<_CMP_LT_OQ>(magnitude, _mm256_set1_ps(0.625));
    _mm256_blendv_ps(far, near, is_near)
}

/// `Φ(x)`, the distribution function of the standard normal distribution; see [`MILLS`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn normal(x: __m256) -> __m256 {
    let one = _mm256_set1_ps(1.0);
    let z = _mm256_andnot_ps(_mm256_set1_ps(-0.0), x);
    let u = _mm256_div_ps(one, _mm256_fmadd_ps(z, _mm256_set1_ps(0.25), one));
    let ratio = _mm256_mul_ps(u, polynomial(u, MILLS.map(|coefficient| coefficient as f32)));
    // exp(-z²/2): what rounding takes from z²/2 is given back, exp(-a - b) = exp(-a) (1 - b).
    let half_z = _mm256_mul_ps(z, _mm256_set1_ps(0.5));
    let a = _mm256_mul_ps(z, half_z);
    let b = _mm256_fmsub_ps(z, half_z, a);
    let e = exp(_mm256_xor_ps(a, _mm256_set1_ps(-0.0)));
    // Where the square overflows, `b` is no number and `e` is zero.
    let b = _mm256_and_ps(b, _mm256_cmp_ps::<_CMP_LT_OQ>(a, _mm256_set1_ps(128.0)));
    let tail = _mm256_mul_ps(ratio, _mm256_fnmadd_ps(e, b, e));
    let is_left = x; // its sign bit
    _mm256_blendv_ps(_mm256_sub_ps(one, tail), tail, is_left)
}

#[cfg(test)]
mod tests {
    use super::super::Token;
    use super::super::vector::map;
    use super::*;

    #[target_feature(enable = "avx2,fma,f16c")]
    fn exp_of(x: &mut [f32]) {
        map(x, |x| exp(x));
    }

    fn exps(x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        // SAFETY: callers have a token.
        unsafe { exp_of(&mut y) };
        y
    }

    #[test]
    fn exp_is_good_to_one_and_a_half_units() {
        if Token::detect().is_none() {
            return;
        }
        let positive = (0..100f32.to_bits()).step_by(997).map(f32::from_bits);
        let negative = (0..110f32.to_bits()).step_by(997).map(|bits| -f32::from_bits(bits));
        let x: Vec<_> = positive.chain(negative).collect();
        for (y, x) in exps(&x).into_iter().zip(x) {
            let exact = f64::from(x).exp();
            if exact > f64::from(f32::MAX) {
                assert!(y == f32::INFINITY || exact < 1.000_001 * f64::from(f32::MAX), "{x}");
                continue;
            }
            let nearest = exact as f32;
            let unit = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
            assert!(
                (f64::from(y) - exact).abs() <= 1.5 * unit,
                "exp({x:e}) is {y:e}, not {exact:e}"
            );
        }
    }

    #[test]
    fn exp_of_what_is_not_finite() {
        if Token::detect().is_none() {
            return;
        }
        let x = [f32::NEG_INFINITY, f32::INFINITY, f32::MIN, f32::MAX, 0.0, -0.0];
        assert_eq!(exps(&x), [0.0, f32::INFINITY, 0.0, f32::INFINITY, 1.0, 1.0]);
        assert!(exps(&[f32::NAN])[0].is_nan());
    }
}
