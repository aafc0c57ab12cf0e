//! Sums of products of codes with 8-bit activations: exact integers, whichever way they are made.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::ops::Range;

use super::codes::Codes;
use crate::kernels::packed::Token;

/// A way to make them.
pub(super) trait Products {
    /// Whether codes are signed.
    const SIGNED: bool = false;

    /// Sums of the products of some steps of four columns of block `index` of `T` tokens, with the
    /// codes of eight rows in each of `H` vectors.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C, and what the way needs besides; every token has block
    /// `index`, and the steps are below eight.
    unsafe fn sums<const H: usize, const T: usize>(
        codes: &[Codes; H],
        steps: Range<usize>,
        tokens: &[Token; T],
        index: usize,
    ) -> [[__m256i; H]; T];
}

/// Sixteen ones, in memory.
static ONES: [i16; 16] = [1; 16];

/// Ones, read at this place: while codes are multiplied, all registers are taken, and a compiler that
/// knew what this reads would keep it in one of them, and lanes in memory instead.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn ones() -> __m256i {
    // SAFETY: the static is 32 bytes, which a packed type reads wherever they are.
    unsafe { (&raw const ONES).cast::<Ones>().read_volatile().0 }
}

/// A vector that may lie anywhere.
#[repr(C, packed)]
struct Ones(__m256i);

/// Unsigned codes: sums of two products, `ADDS` of which are added up in 16 bits before they are
/// widened. With codes up to `c`, `ADDS * 2 * c * 127` is below 2^15.
pub(super) struct Pairs<const ADDS: usize>;

impl<const ADDS: usize> Products for Pairs<ADDS> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sums<const H: usize, const T: usize>(
        codes: &[Codes; H],
        steps: Range<usize>,
        tokens: &[Token; T],
        index: usize,
    ) -> [[__m256i; H]; T] {
        let mut sums = [[_mm256_setzero_si256(); H]; T];
        for first in steps.step_by(ADDS) {
            let mut pairs = [[_mm256_setzero_si256(); H]; T];
            for step in first..first + ADDS {
                // Token by token: with the columns of all of them at a time, two lanes were in
                // memory (on Zen 3, Q4_0 tiles of 384 tokens ran at 107 to 140 instead of 116 to
                // 152 Gop/s).
                for (pairs, token) in pairs.iter_mut().zip(tokens) {
                    // SAFETY: the tokens have the block.
                    let x = unsafe { four_columns(token, index, step) };
                    for (pairs, codes) in pairs.iter_mut().zip(codes) {
                        let products = _mm256_maddubs_epi16(codes[step], x);
                        *pairs = in_order(_mm256_add_epi16(*pairs, products));
                    }
                }
            }
            let ones = ones();
            for (sums, pairs) in sums.as_flattened_mut().iter_mut().zip(pairs.as_flattened()) {
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(*pairs, ones));
            }
        }
        sums
    }
}

/// Signed codes: the activations take over their sign, for one factor must be unsigned. Sums of two
/// products leave no room in 16 bits.
pub(super) struct Signs;

impl Products for Signs {
    const SIGNED: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sums<const H: usize, const T: usize>(
        codes: &[Codes; H],
        steps: Range<usize>,
        tokens: &[Token; T],
        index: usize,
    ) -> [[__m256i; H]; T] {
        let ones = ones();
        let mut sums = [[_mm256_setzero_si256(); H]; T];
        for step in steps {
            // SAFETY: the tokens have the block.
            let x = tokens.each_ref().map(|token| unsafe { four_columns(token, index, step) });
            for half in 0..H {
                let codes = codes[half][step];
                let sizes = _mm256_abs_epi8(codes);
                for (sums, &x) in sums.iter_mut().zip(&x) {
                    let pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(x, codes));
                    let products = _mm256_madd_epi16(pairs, ones);
                    sums[half] = in_order(_mm256_add_epi32(sums[half], products));
                }
            }
        }
        sums
    }
}

/// Unsigned codes up to 255: an instruction that adds four products to 32 bits.
pub(super) struct Dots<D>(PhantomData<D>);

/// That instruction.
pub(super) trait Dot {
    /// `sums`, and to each the products of four unsigned `codes` with four signed `x`.
    ///
    /// # Safety
    /// The machine has AVX2, and the instruction.
    unsafe fn add_dots(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i;
}

impl<D: Dot> Products for Dots<D> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn sums<const H: usize, const T: usize>(
        codes: &[Codes; H],
        steps: Range<usize>,
        tokens: &[Token; T],
        index: usize,
    ) -> [[__m256i; H]; T] {
        let mut sums = [[_mm256_setzero_si256(); H]; T];
        for step in steps {
            // SAFETY: the tokens have the block.
            let x = tokens.each_ref().map(|token| unsafe { four_columns(token, index, step) });
            for half in 0..H {
                let codes = codes[half][step];
                for (sums, &x) in sums.iter_mut().zip(&x) {
                    // SAFETY: the machine has the instruction.
                    sums[half] = unsafe { D::add_dots(sums[half], codes, x) };
                }
            }
        }
        sums
    }
}

/// AVX-VNNI: `vpdpbusd` without the prefix that is for AVX-512.
pub(super) struct Vpdpbusd;

impl Dot for Vpdpbusd {
    // By name: functions that are compiled for AVX2 do not inline those that are for more.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add_dots(mut sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
        // SAFETY: it reads and writes registers, and the machine has it.
        unsafe {
            std::arch::asm!(
                "{{vex}} vpdpbusd {0}, {1}, {2}", inout(ymm_reg) sums, in(ymm_reg) codes,
                in(ymm_reg) x, options(nomem, nostack, preserves_flags)
            );
        }
        sums
    }
}

/// Other instructions instead.
#[cfg(test)]
pub(super) struct Emulated;

#[cfg(test)]
impl Dot for Emulated {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn add_dots(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
        // Bytes at even and at odd places in 16 bits, where their products have room for two.
        let even = _mm256_madd_epi16(
            _mm256_and_si256(codes, _mm256_set1_epi16(255)),
            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)),
        );
        let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(codes), _mm256_srai_epi16::<8>(x));
        _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
    }
}

/// Columns `4 * step..` of block `index` of a token, the four in every lane.
///
/// # Safety
/// The token has the block, and the step is below eight.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn four_columns(token: &Token, index: usize, step: usize) -> __m256i {
    // SAFETY: as the caller says.
    _mm256_set1_epi32(unsafe { token.four_codes(index, step) })
}

/// The same value, hidden from the compiler and at this place: it would turn chains of additions into
/// trees, and go through all codes once for each token; both need more registers than there are
/// (on Zen 3, Q4_0 tiles of 384 tokens ran at 71 instead of 114 Gop/s).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn in_order(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction at all. It is not `pure`: what is, may move.
    unsafe {
        std::arch::asm!(
            "/* {0} */", inout(ymm_reg) value, options(nomem, nostack, preserves_flags)
        );
    }
    value
}
