//! The formats of 32 elements a block.

use std::arch::x86_64::*;

use edgeformer_core::Format;

use super::super::panel::{Panel, Unpack, halves};
use super::super::vector::load_bytes;
use super::{look_up, nibbles};

pub(in super::super) struct Q8_0;

impl Unpack for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const SIGNED: bool = true;
    const MINIMA: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<34>();
        panel.scales = halves(blocks, 0);
        for ([_, _, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = load_bytes(codes);
        }
    }
}

pub(in super::super) struct Q4_0;

impl Unpack for Q4_0 {
    const FORMAT: Format = Format::Q4_0;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<18>();
        panel.scales = halves(blocks, 0);
        panel.minima = [_mm256_mul_ps(panel.scales, _mm256_set1_ps(-8.0)); 2];
        for ([_, _, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = nibbles(codes);
        }
    }
}

pub(in super::super) struct Q4_1;

impl Unpack for Q4_1 {
    const FORMAT: Format = Format::Q4_1;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<20>();
        panel.scales = halves(blocks, 0);
        panel.minima = [halves(blocks, 2); 2];
        for ([_, _, _, _, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = nibbles(codes);
        }
    }
}

pub(in super::super) struct Q5_0;

impl Unpack for Q5_0 {
    const FORMAT: Format = Format::Q5_0;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<22>();
        panel.scales = halves(blocks, 0);
        panel.minima = [_mm256_mul_ps(panel.scales, _mm256_set1_ps(-16.0)); 2];
        for ([_, _, a, b, c, d, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = _mm256_or_si256(nibbles(codes), fifth_bits([*a, *b, *c, *d]));
        }
    }
}

pub(in super::super) struct Q5_1;

impl Unpack for Q5_1 {
    const FORMAT: Format = Format::Q5_1;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<24>();
        panel.scales = halves(blocks, 0);
        panel.minima = [halves(blocks, 2); 2];
        for ([_, _, _, _, a, b, c, d, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = _mm256_or_si256(nibbles(codes), fifth_bits([*a, *b, *c, *d]));
        }
    }
}

pub(in super::super) struct Iq4Nl;

impl Unpack for Iq4Nl {
    const FORMAT: Format = Format::Iq4Nl;
    const SIGNED: bool = true;
    const MINIMA: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let (blocks, _) = bytes.as_chunks::<18>();
        panel.scales = halves(blocks, 0);
        for ([_, _, codes @ ..], to) in blocks.iter().zip(&mut panel.codes) {
            *to = look_up(nibbles(codes));
        }
    }
}

/// 32 bits to bytes 0 or 16.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fifth_bits(bits: [u8; 4]) -> __m256i {
    let all = _mm256_set1_epi32(i32::from_le_bytes(bits));
    // Byte `i` gets the byte of its bit, which is bit `i % 8` there.
    let spread =
        _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let of_eight = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let hits = _mm256_and_si256(_mm256_shuffle_epi8(all, spread), of_eight);
    _mm256_and_si256(_mm256_cmpeq_epi8(hits, of_eight), _mm256_set1_epi8(16))
}
