use std::arch::x86_64::*;
use std::arch::{asm, is_x86_feature_detected};

use super::{Sequence, portable};

cpufeatures::new!(has_avx2, "avx2", "fma");

/// Weights and activations that are multiplied with each other, and how many products that are: as
/// many as registers allow.
const WEIGHTS: usize = 4;
const ACTIVATIONS: usize = 2;
const PRODUCTS: usize = WEIGHTS * ACTIVATIONS;
/// Sums that VNNI adds to: more than its latency times how many start in a cycle.
const SUMS: usize = 16;
/// The same, where there are sixteen registers.
const SHORT_SUMS: usize = 12;

/// The sequences of the AVX2 kernels and, where the machine has it, VNNI's; `None` without AVX2.
pub(super) fn sequences() -> Option<Vec<Sequence>> {
    if !has_avx2::get() {
        return None;
    }
    // SAFETY: the machine has AVX2 and FMA, as was just asked.
    let fma = |rounds| unsafe { fma(rounds) };
    // SAFETY: as above.
    let exact = |rounds| unsafe { integers::<1>(rounds) };
    // SAFETY: as above.
    let paired = |rounds| unsafe { integers::<2>(rounds) };
    // SAFETY: as above.
    let sixteen = |rounds| unsafe { integers::<8>(rounds) };
    let operations = 2 * 32 * PRODUCTS as u64;
    let mut sequences = vec![
        Sequence { name: "f32 fma", operations: 2 * 12 * 8, run: fma },
        Sequence { name: "int8 exact maddubs", operations, run: exact },
        Sequence { name: "int8 paired maddubs", operations, run: paired },
        Sequence { name: "int8 maddubs in 16 bits", operations, run: sixteen },
    ];
    // `cpufeatures` does not know VNNI.
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the machine has AVX-512 with VNNI, as was just asked.
        let vnni = |rounds| unsafe { vnni(rounds) };
        let operations = 2 * 64 * SUMS as u64;
        sequences.push(Sequence { name: "int8 vpdpbusd", operations, run: vnni });
    } else if is_x86_feature_detected!("avxvnni") {
        // SAFETY: the machine has AVX-VNNI, as was just asked.
        let vnni = |rounds| unsafe { short_vnni(rounds) };
        let operations = 2 * 32 * SHORT_SUMS as u64;
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

/// Every weight (3) with every activation (5) by `maddubs`; `GROUP` of the results are added up in
/// 16 bits, then widened by `madd` and added to a sum.
///
/// Alone they are exact whatever the factors (2 * 127 * 127 fills 16 bits); two need weights of at
/// most 6 bits, eight of at most 4 (8 * 2 * 15 * 127 = 30,480).
#[target_feature(enable = "avx2")]
fn integers<const GROUP: usize>(rounds: u64) -> f64 {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); PRODUCTS];
    let mut weights = [_mm256_set1_epi8(3); WEIGHTS];
    let mut activations = [_mm256_set1_epi8(5); ACTIVATIONS];
    for _ in 0..rounds {
        // No closures over vectors in the standard library's functions: those are compiled without
        // AVX2, and nothing of it is inlined into them.
        for weight in &mut weights {
            *weight = opaque(*weight);
        }
        for activation in &mut activations {
            *activation = opaque(*activation);
        }
        for first in (0..PRODUCTS).step_by(GROUP) {
            let mut pairs = _mm256_setzero_si256();
            for at in first..first + GROUP {
                let (weight, activation) = (weights[at % WEIGHTS], activations[at / WEIGHTS]);
                pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weight, activation));
            }
            sums[first] = _mm256_add_epi32(sums[first], _mm256_madd_epi16(pairs, ones));
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += lanes(sum).iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

#[target_feature(enable = "avx2")]
fn lanes(sum: __m256i) -> [i32; 8] {
    let mut lanes = [0; 8];
    // SAFETY: there is room for the 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes
}

/// Four products of bytes and their sum in one instruction of AVX-VNNI, 12 sums of 8 lanes.
///
/// # Safety
/// The machine has it.
#[target_feature(enable = "avx2")]
unsafe fn short_vnni(rounds: u64) -> f64 {
    let mut sums = [_mm256_setzero_si256(); SHORT_SUMS];
    let (weights, activations) = (_mm256_set1_epi8(3), _mm256_set1_epi8(5));
    for _ in 0..rounds {
        for sum in &mut sums {
            // SAFETY: it reads and writes registers, and the machine has it.
            unsafe {
                asm!(
                    "{{vex}} vpdpbusd {0}, {1}, {2}", inout(ymm_reg) * sum, in(ymm_reg) weights,
                    in(ymm_reg) activations, options(nomem, nostack, preserves_flags)
                );
            }
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += lanes(sum).iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

/// Four products of bytes and their sum in one instruction, 16 sums of 16 lanes.
#[target_feature(enable = "avx512f,avx512vnni")]
fn vnni(rounds: u64) -> f64 {
    let mut sums = [_mm512_setzero_si512(); SUMS];
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
