use std::arch::x86_64::*;
use std::arch::{asm, is_x86_feature_detected};

use super::{Sequence, portable};

cpufeatures::new!(has_avx2, "avx2", "fma");

/// Independent sums: more than an instruction's latency times how many start in a cycle.
const SUMS: usize = 8;
/// Weights and activations, whose products are the sums.
const WEIGHTS: usize = 4;
const ACTIVATIONS: usize = SUMS / WEIGHTS;

/// The sequences of the AVX2 kernels and, where the machine has it, VNNI's; `None` without AVX2.
pub(super) fn sequences() -> Option<Vec<Sequence>> {
    if !has_avx2::get() {
        return None;
    }
    // SAFETY: the machine has AVX2 and FMA, as was just asked.
    let fma = |rounds| unsafe { fma(rounds) };
    // SAFETY: as above.
    let exact = |rounds| unsafe { exact(rounds) };
    // SAFETY: as above.
    let paired = |rounds| unsafe { paired(rounds) };
    // SAFETY: as above.
    let sixteen = |rounds| unsafe { sixteen(rounds) };
    let sums = SUMS as u64;
    let mut sequences = vec![
        Sequence { name: "f32 fma", operations: 2 * 12 * 8, run: fma },
        Sequence { name: "int8 exact maddubs", operations: 2 * 32 * sums, run: exact },
        Sequence { name: "int8 paired maddubs", operations: 2 * 32 * 2 * sums, run: paired },
        Sequence { name: "int8 maddubs in 16 bits", operations: 2 * 32 * 8 * sums, run: sixteen },
    ];
    // `cpufeatures` does not know VNNI.
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the machine has AVX-512 with VNNI, as was just asked.
        let vnni = |rounds| unsafe { vnni(rounds) };
        let operations = 2 * 64 * 2 * sums;
        sequences.push(Sequence { name: "int8 vpdpbusd", operations, run: vnni });
    }
    Some(sequences)
}

/// [`portable::read`] in vectors of 32 bytes; `None` without AVX2.
pub(super) fn read(words: &[u64]) -> Option<u64> {
    #[target_feature(enable = "avx2")]
    fn wide(words: &[u64]) -> u64 {
        portable::read(words)
    }
    // SAFETY: the machine has AVX2, as is asked first.
    has_avx2::get().then(|| unsafe { wide(words) })
}

/// The same value, of which the compiler knows nothing: what is computed from it is computed
/// every time.
#[target_feature(enable = "avx2")]
#[inline]
fn opaque(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction at all, and the register keeps its value.
    unsafe { asm!("/* {0} */", inout(ymm_reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// 12 sums of 8 lanes: 3 * 1 is added to each.
#[target_feature(enable = "avx2,fma")]
fn fma(rounds: u64) -> f64 {
    let mut sums = [_mm256_setzero_ps(); 12];
    let (three, one) = (_mm256_set1_ps(3.0), _mm256_set1_ps(1.0));
    for _ in 0..rounds {
        let three = _mm256_castsi256_ps(opaque(_mm256_castps_si256(three)));
        sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(three, one, *sum));
    }
    let mut total = 0.0;
    for sum in sums {
        let mut lanes = [0.0f32; 8];
        // SAFETY: there is room for the eight lanes.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

/// Bytes in 32 bits, each product exact whatever its factors: `maddubs`, `madd`, `add`.
#[target_feature(enable = "avx2")]
fn exact(rounds: u64) -> f64 {
    integers(rounds, |sum, weights, activations| {
        let pairs = _mm256_maddubs_epi16(weights, activations);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    })
}

/// Two products added up in 16 bits before they are widened.
#[target_feature(enable = "avx2")]
fn paired(rounds: u64) -> f64 {
    integers(rounds, |sum, weights, activations| {
        let first = _mm256_maddubs_epi16(weights, activations);
        let second = _mm256_maddubs_epi16(opaque(weights), activations);
        let pairs = _mm256_add_epi16(first, second);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    })
}

/// Eight products added up in 16 bits, as 4-bit weights allow over a block of 32.
#[target_feature(enable = "avx2")]
fn sixteen(rounds: u64) -> f64 {
    integers(rounds, |sum, mut weights, activations| {
        let mut pairs = _mm256_maddubs_epi16(weights, activations);
        for _ in 1..8 {
            weights = opaque(weights);
            pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights, activations));
        }
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    })
}

/// Every weight (3) with every activation (5), by `step`, into a sum of its own.
#[target_feature(enable = "avx2")]
#[inline]
fn integers(rounds: u64, step: impl Fn(__m256i, __m256i, __m256i) -> __m256i) -> f64 {
    let mut sums = [_mm256_setzero_si256(); SUMS];
    let mut weights = [_mm256_set1_epi8(3); WEIGHTS];
    let mut activations = [_mm256_set1_epi8(5); ACTIVATIONS];
    for _ in 0..rounds {
        weights = weights.map(|weight| opaque(weight));
        activations = activations.map(|activation| opaque(activation));
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = step(*sum, weights[at % WEIGHTS], activations[at / WEIGHTS]);
        }
    }
    sums.into_iter().map(|sum| lanes(sum).iter().map(|&lane| f64::from(lane)).sum::<f64>()).sum()
}

#[target_feature(enable = "avx2")]
fn lanes(sum: __m256i) -> [i32; 8] {
    let mut lanes = [0; 8];
    // SAFETY: there is room for the 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes
}

/// Four products of bytes and their sum in one instruction, 16 sums of 16 lanes.
#[target_feature(enable = "avx512f,avx512vnni")]
fn vnni(rounds: u64) -> f64 {
    let mut sums = [_mm512_setzero_si512(); 2 * SUMS];
    let (weights, activations) = (_mm512_set1_epi8(3), _mm512_set1_epi8(5));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, weights, activations);
            // SAFETY: no instruction at all, and the register keeps its value.
            unsafe {
                asm!("/* {0} */", inout(zmm_reg) * sum, options(nomem, nostack, preserves_flags))
            };
        }
    }
    sums.into_iter().map(|sum| f64::from(_mm512_reduce_add_epi32(sum))).sum()
}
