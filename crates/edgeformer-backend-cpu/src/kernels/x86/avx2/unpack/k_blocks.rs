//! The formats of 256 elements a block.

use std::arch::x86_64::*;

use edgeformer_core::Format;
use edgeformer_core::quant;

use super::super::panel::{BLOCKS, Panel, Unpack, half_at};
use super::super::vector::load_16_bytes;
use super::{bit, bytes_at, high_nibbles, look_up, low_nibbles, nibbles, two_bits};

/// The one block of a panel.
fn block<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.first_chunk().expect("a panel is a whole super-block")
}

/// Two scales for every 32 elements, from sixteen i16.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn factors_of_halves(scales: __m256i) -> [__m256i; BLOCKS] {
    // SAFETY: both are 32 bytes, and every pattern of bits is an i32.
    let pairs: [i32; BLOCKS] = unsafe { std::mem::transmute(scales) };
    let first = _mm256_castsi256_si128(_mm256_set1_epi16(0x0100));
    let second = _mm256_castsi256_si128(_mm256_set1_epi16(0x0302));
    let spread = _mm256_set_m128i(second, first);
    let mut factors = [scales; BLOCKS];
    for (factor, &pair) in factors.iter_mut().zip(&pairs) {
        *factor = _mm256_shuffle_epi8(_mm256_set1_epi32(pair), spread);
    }
    factors
}

/// One scale for every 32 elements.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn factors(scales: [i16; BLOCKS]) -> [__m256i; BLOCKS] {
    let mut factors = [_mm256_setzero_si256(); BLOCKS];
    for (factor, &scale) in factors.iter_mut().zip(&scales) {
        *factor = _mm256_set1_epi16(scale);
    }
    factors
}

/// Sixteen i16 as floats, the even ones and the odd ones, times a float each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn even_and_odd(values: __m256i, factor: __m256) -> [__m256; 2] {
    let even = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(values));
    let odd = _mm256_srai_epi32::<16>(values);
    [even, odd].map(|values| _mm256_mul_ps(_mm256_cvtepi32_ps(values), factor))
}

pub(in super::super) struct Q2K;

impl Unpack for Q2K {
    const FORMAT: Format = Format::Q2K;
    const FACTORS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 84] = block(bytes);
        let pairs = _mm256_cvtepu8_epi16(load_16_bytes(block.first_chunk().expect("84 > 16")));
        panel.factors = factors_of_halves(_mm256_and_si256(pairs, _mm256_set1_epi16(15)));
        panel.scales = half_at(block, 80);
        let minus = _mm256_xor_ps(half_at(block, 82), _mm256_set1_ps(-0.0));
        panel.minima = even_and_odd(_mm256_srli_epi16::<4>(pairs), minus);
        for (half, codes) in panel.codes.chunks_exact_mut(4).enumerate() {
            let packed = bytes_at(block, 16 + 32 * half);
            codes[0] = two_bits::<0>(packed);
            codes[1] = two_bits::<2>(packed);
            codes[2] = two_bits::<4>(packed);
            codes[3] = two_bits::<6>(packed);
        }
    }
}

pub(in super::super) struct Q3K;

impl Unpack for Q3K {
    const FORMAT: Format = Format::Q3K;
    const FACTORS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 110] = block(bytes);
        let scales = quant::Q3K::scales(block).map(i8::cast_unsigned);
        let scales = _mm256_cvtepi8_epi16(load_16_bytes(&scales));
        panel.factors = factors_of_halves(scales);
        panel.scales = half_at(block, 108);
        panel.minima = even_and_odd(scales, _mm256_mul_ps(panel.scales, _mm256_set1_ps(-4.0)));
        let high = bytes_at(block, 0);
        let (first, second) = (bytes_at(block, 32), bytes_at(block, 64));
        panel.codes = [
            _mm256_or_si256(two_bits::<0>(first), bit::<0>(high, 4)),
            _mm256_or_si256(two_bits::<2>(first), bit::<1>(high, 4)),
            _mm256_or_si256(two_bits::<4>(first), bit::<2>(high, 4)),
            _mm256_or_si256(two_bits::<6>(first), bit::<3>(high, 4)),
            _mm256_or_si256(two_bits::<0>(second), bit::<4>(high, 4)),
            _mm256_or_si256(two_bits::<2>(second), bit::<5>(high, 4)),
            _mm256_or_si256(two_bits::<4>(second), bit::<6>(high, 4)),
            _mm256_or_si256(two_bits::<6>(second), bit::<7>(high, 4)),
        ];
    }
}

/// Scales and minima of Q4_K and Q5_K.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn scales_and_minima(header: &[u8], (scales, minima): ([u8; 8], [u8; 8]), panel: &mut Panel) {
    panel.factors = factors(scales.map(i16::from));
    panel.scales = half_at(header, 0);
    let minus = _mm256_xor_ps(half_at(header, 2), _mm256_set1_ps(-0.0));
    let minima = _mm256_cvtepu8_epi32(_mm_set_epi64x(0, i64::from_le_bytes(minima)));
    panel.minima = [_mm256_mul_ps(_mm256_cvtepi32_ps(minima), minus); 2];
}

pub(in super::super) struct Q4K;

impl Unpack for Q4K {
    const FORMAT: Format = Format::Q4K;
    const FACTORS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 144] = block(bytes);
        scales_and_minima(block, quant::Q4K::scales_and_mins(block), panel);
        for (pair, codes) in panel.codes.chunks_exact_mut(2).enumerate() {
            let packed = bytes_at(block, 16 + 32 * pair);
            codes[0] = low_nibbles(packed);
            codes[1] = high_nibbles(packed);
        }
    }
}

pub(in super::super) struct Q5K;

impl Unpack for Q5K {
    const FORMAT: Format = Format::Q5K;
    const FACTORS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 176] = block(bytes);
        scales_and_minima(block, quant::Q5K::scales_and_mins(block), panel);
        let high = bytes_at(block, 16);
        let [a, b, c, d] = [48, 80, 112, 144].map(|offset| bytes_at(block, offset));
        panel.codes = [
            _mm256_or_si256(low_nibbles(a), bit::<0>(high, 16)),
            _mm256_or_si256(high_nibbles(a), bit::<1>(high, 16)),
            _mm256_or_si256(low_nibbles(b), bit::<2>(high, 16)),
            _mm256_or_si256(high_nibbles(b), bit::<3>(high, 16)),
            _mm256_or_si256(low_nibbles(c), bit::<4>(high, 16)),
            _mm256_or_si256(high_nibbles(c), bit::<5>(high, 16)),
            _mm256_or_si256(low_nibbles(d), bit::<6>(high, 16)),
            _mm256_or_si256(high_nibbles(d), bit::<7>(high, 16)),
        ];
    }
}

pub(in super::super) struct Q6K;

impl Unpack for Q6K {
    const FORMAT: Format = Format::Q6K;
    const FACTORS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 210] = block(bytes);
        let scales = quant::Q6K::scales(block).map(i8::cast_unsigned);
        let scales = _mm256_cvtepi8_epi16(load_16_bytes(&scales));
        panel.factors = factors_of_halves(scales);
        panel.scales = half_at(block, 208);
        panel.minima = even_and_odd(scales, _mm256_mul_ps(panel.scales, _mm256_set1_ps(-32.0)));
        for (half, codes) in panel.codes.chunks_exact_mut(4).enumerate() {
            let high = bytes_at(block, 128 + 32 * half);
            let (first, second) = (bytes_at(block, 64 * half), bytes_at(block, 64 * half + 32));
            codes[0] = with_high(low_nibbles(first), two_bits::<0>(high));
            codes[1] = with_high(low_nibbles(second), two_bits::<2>(high));
            codes[2] = with_high(high_nibbles(first), two_bits::<4>(high));
            codes[3] = with_high(high_nibbles(second), two_bits::<6>(high));
        }
    }
}

/// Two bits above four.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn with_high(low: __m256i, high: __m256i) -> __m256i {
    _mm256_or_si256(low, _mm256_slli_epi16::<4>(high))
}

pub(in super::super) struct Iq4Xs;

impl Unpack for Iq4Xs {
    const FORMAT: Format = Format::Iq4Xs;
    const SIGNED: bool = true;
    const FACTORS: bool = true;
    const MINIMA: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel) {
        let block: &[u8; 136] = block(bytes);
        panel.factors = factors(quant::Iq4Xs::scales(block).map(i16::from));
        panel.scales = half_at(block, 0);
        let (packed, _) = block[8..].as_chunks();
        for (codes, packed) in panel.codes.iter_mut().zip(packed) {
            *codes = look_up(nibbles(packed));
        }
    }
}
