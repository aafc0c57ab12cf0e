//! The fast Walsh-Hadamard transform; same bits as in the scalar table.

use std::arch::aarch64::*;

use crate::kernels::aarch64::neon::vector::{LANES, load, store};
use crate::kernels::scalar::kv as scalar;

#[target_feature(enable = "neon")]
pub(super) fn hadamard(x: &mut [f32], group: usize) {
    if group < LANES {
        return scalar::hadamard(x, group);
    }
    let norm = 1.0 / (group as f32).sqrt();
    for part in x.as_chunks_mut().0.chunks_exact_mut(group / LANES) {
        part.iter_mut().for_each(|x| store(within(load(x)), x));
        let mut span = 1;
        while span < part.len() {
            part.chunks_exact_mut(2 * span).for_each(|pair| between(pair, span));
            span *= 2;
        }
        part.iter_mut().for_each(|x| store(vmulq_n_f32(load(x), norm), x));
    }
}

/// Butterflies of neighbours and of elements two apart.
#[inline]
#[target_feature(enable = "neon")]
fn within(x: float32x4_t) -> float32x4_t {
    // The partner of every lane, plus the lane itself, negative where it is the right one.
    let x = vaddq_f32(vrev64q_f32(x), negate(x, [false, true, false, true]));
    vaddq_f32(vextq_f32::<2>(x, x), negate(x, [false, false, true, true]))
}

/// Changes the sign of lanes.
#[inline]
#[target_feature(enable = "neon")]
fn negate(x: float32x4_t, lanes: [bool; LANES]) -> float32x4_t {
    let signs = load(&lanes.map(|negative| if negative { -0.0 } else { 0.0 }));
    vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(signs)))
}

/// Butterflies of the vectors of the left and the right half.
#[inline]
#[target_feature(enable = "neon")]
fn between(pair: &mut [[f32; LANES]], span: usize) {
    let (left, right) = pair.split_at_mut(span);
    for (left, right) in left.iter_mut().zip(right) {
        let (a, b) = (load(left), load(right));
        store(vaddq_f32(a, b), left);
        store(vsubq_f32(a, b), right);
    }
}
