//! The fast Walsh-Hadamard transform; same bits as in the scalar table.

use std::arch::x86_64::*;

use super::super::vector::{LANES, load, store};
use crate::kernels::scalar::kv as scalar;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn hadamard(x: &mut [f32], group: usize) {
    if group < LANES {
        return scalar::hadamard(x, group);
    }
    let norm = _mm256_set1_ps(1.0 / (group as f32).sqrt());
    for part in x.as_chunks_mut().0.chunks_exact_mut(group / LANES) {
        part.iter_mut().for_each(|x| store(within(load(x)), x));
        let mut span = 1;
        while span < part.len() {
            part.chunks_exact_mut(2 * span).for_each(|pair| between(pair, span));
            span *= 2;
        }
        part.iter_mut().for_each(|x| store(_mm256_mul_ps(load(x), norm), x));
    }
}

/// Butterflies of neighbours, of elements two apart and of elements four apart.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn within(x: __m256) -> __m256 {
    let minus = |lanes: i32| {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let chosen = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bits), bits);
        _mm256_and_ps(_mm256_castsi256_ps(chosen), _mm256_set1_ps(-0.0))
    };
    // The partner of every lane, plus the lane itself, negative where it is the right one.
    let x =
        _mm256_add_ps(_mm256_permute_ps::<0b10_11_00_01>(x), _mm256_xor_ps(x, minus(0b1010_1010)));
    let x =
        _mm256_add_ps(_mm256_permute_ps::<0b01_00_11_10>(x), _mm256_xor_ps(x, minus(0b1100_1100)));
    _mm256_add_ps(_mm256_permute2f128_ps::<0x01>(x, x), _mm256_xor_ps(x, minus(0b1111_0000)))
}

/// Butterflies of the vectors of the left and the right half.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn between(pair: &mut [[f32; LANES]], span: usize) {
    let (left, right) = pair.split_at_mut(span);
    for (left, right) in left.iter_mut().zip(right) {
        let (a, b) = (load(left), load(right));
        store(_mm256_add_ps(a, b), left);
        store(_mm256_sub_ps(a, b), right);
    }
}
