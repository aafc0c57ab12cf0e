//! Blocks to panels, for every quantized format. The layouts are documented in
//! [`edgeformer_core::quant`].

mod blocks;
mod k_blocks;

pub(super) use blocks::{Iq4Nl, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
pub(super) use k_blocks::{Iq4Xs, Q2K, Q3K, Q4K, Q5K, Q6K};

use std::arch::x86_64::*;

use super::vector::{load_16_bytes, load_bytes};

/// Low nibbles of 16 bytes, then the high ones.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn nibbles(bytes: &[u8; 16]) -> __m256i {
    let packed = load_16_bytes(bytes);
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(packed), packed);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// Entries of the IQ4 code book.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn look_up(codes: __m256i) -> __m256i {
    let book = edgeformer_core::quant::CODE_BOOK.map(i8::cast_unsigned);
    _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_16_bytes(&book)), codes)
}

/// Bit `BIT` of 32 bytes, as bytes 0 or `value`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bit<const BIT: usize>(bytes: __m256i, value: i8) -> __m256i {
    let bit = _mm256_set1_epi8((1u8 << BIT).cast_signed());
    let is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    _mm256_and_si256(is_set, _mm256_set1_epi8(value))
}

/// The two bits from `SHIFT` of 32 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn two_bits<const SHIFT: i32>(bytes: __m256i) -> __m256i {
    _mm256_and_si256(_mm256_srli_epi16::<SHIFT>(bytes), _mm256_set1_epi8(3))
}

/// The high nibbles of 32 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn high_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15))
}

/// The low nibbles of 32 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn low_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// The first 32 bytes of a part of a block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn bytes_at(block: &[u8], offset: usize) -> __m256i {
    load_bytes(block[offset..].first_chunk().expect("offsets of parts are within their block"))
}
