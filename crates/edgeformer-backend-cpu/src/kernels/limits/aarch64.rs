use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::Sequence;

/// Sums that are added to: more than the latency of an instruction times how many start in a cycle.
const SUMS: usize = 16;

/// The sequences of the NEON kernels and, where the machine has them, those of bytes.
pub(super) fn sequences() -> Vec<Sequence> {
    // SAFETY: every 64-bit ARM has NEON.
    let fma = |rounds| unsafe { fma(rounds) };
    // SAFETY: as above.
    let long = |rounds| unsafe { long(rounds) };
    let operations = |products: usize| 2 * (products * SUMS) as u64;
    let mut sequences = vec![
        Sequence { name: "f32 fma", operations: operations(4), run: fma },
        Sequence { name: "int8 smull", operations: operations(16), run: long },
    ];
    if is_aarch64_feature_detected!("dotprod") {
        // SAFETY: the machine has the instruction, as was just asked.
        let run = |rounds| unsafe { integers::<false>(rounds) };
        sequences.push(Sequence { name: "int8 sdot", operations: operations(16), run });
    }
    if is_aarch64_feature_detected!("i8mm") {
        // SAFETY: the machine has the instruction, as was just asked.
        let run = |rounds| unsafe { integers::<true>(rounds) };
        sequences.push(Sequence { name: "int8 smmla", operations: operations(32), run });
    }
    sequences
}

/// 16 sums of 4 lanes: 3 * 1 is added to each.
#[target_feature(enable = "neon")]
fn fma(rounds: u64) -> f64 {
    let mut sums = [vdupq_n_f32(0.0); SUMS];
    let (three, one) = (vdupq_n_f32(3.0), vdupq_n_f32(1.0));
    for _ in 0..rounds {
        for sum in &mut sums {
            // By hand, for the compiler would know the sums.
            // SAFETY: every 64-bit ARM has the instruction, which only computes.
            unsafe {
                asm!(
                    "fmla {0:v}.4s, {1:v}.4s, {2:v}.4s",
                    inout(vreg) *sum, in(vreg) three, in(vreg) one,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += f64::from(vaddvq_f32(sum));
    }
    total
}

/// 16 products of bytes, 3 * 5 each, in 16 bits and added to 4 lanes, as the kernels without
/// FEAT_DotProd multiply; 16 sums.
#[target_feature(enable = "neon")]
fn long(rounds: u64) -> f64 {
    let mut sums = [vdupq_n_s32(0); SUMS];
    let (weights, activations) = (vdupq_n_s8(3), vdupq_n_s8(5));
    for _ in 0..rounds {
        for sum in &mut sums {
            // SAFETY: every 64-bit ARM has the instructions, which only compute.
            unsafe {
                asm!(
                    "smull {low:v}.8h, {a:v}.8b, {b:v}.8b",
                    "smull2 {high:v}.8h, {a:v}.16b, {b:v}.16b",
                    "addp {low:v}.8h, {low:v}.8h, {high:v}.8h",
                    "sadalp {sum:v}.4s, {low:v}.8h",
                    sum = inout(vreg) *sum, a = in(vreg) weights, b = in(vreg) activations,
                    low = out(vreg) _, high = out(vreg) _,
                    options(nomem, nostack, preserves_flags)
                );
            }
        }
    }
    total(sums)
}

/// Sums of products of bytes, 3 * 5 each, by one instruction: 16 by `sdot` or, for `MATRIX`, 32 by
/// `smmla`; 16 sums.
///
/// # Safety
/// The machine has FEAT_DotProd or FEAT_I8MM.
#[target_feature(enable = "neon")]
unsafe fn integers<const MATRIX: bool>(rounds: u64) -> f64 {
    let mut sums = [vdupq_n_s32(0); SUMS];
    let (weights, activations) = (vdupq_n_s8(3), vdupq_n_s8(5));
    for _ in 0..rounds {
        for sum in &mut sums {
            // SAFETY: the machine has the instruction, which only computes.
            unsafe {
                match MATRIX {
                    false => asm!(
                        ".arch_extension dotprod",
                        "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[0]",
                        inout(vreg) *sum, in(vreg) weights, in(vreg) activations,
                        options(nomem, nostack, preserves_flags)
                    ),
                    true => asm!(
                        ".arch_extension i8mm",
                        "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
                        inout(vreg) *sum, in(vreg) weights, in(vreg) activations,
                        options(nomem, nostack, preserves_flags)
                    ),
                }
            }
        }
    }
    total(sums)
}

#[target_feature(enable = "neon")]
fn total(sums: [int32x4_t; SUMS]) -> f64 {
    let mut total = 0.0;
    for sum in sums {
        total += f64::from(vaddvq_s32(sum));
    }
    total
}
