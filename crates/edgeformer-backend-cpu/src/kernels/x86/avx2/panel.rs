//! Eight unpacked blocks of a weight row: what all quantized formats come down to.

use std::arch::x86_64::*;

use edgeformer_core::Format;

/// Blocks of a panel: as many as a super-block of the K-quants has, and as scales fill a vector.
pub(super) const BLOCKS: usize = 8;
/// Elements of a panel.
pub(super) const ELEMENTS: usize = 256;

/// Up to 256 weights of one row. Element `i` of block `b` stands for
/// `scales[b] * factors[b][i / 2] * codes[b][i] + minima[i / 16][b]`.
///
/// Blocks behind the end of a row keep what was in them: nobody multiplies with them.
pub(super) struct Panel {
    /// Bytes, unsigned or signed as the format says ([`Unpack::SIGNED`]).
    pub codes: [__m256i; BLOCKS],
    /// The integer part of the scales, as i16, for the formats that have one.
    pub factors: [__m256i; BLOCKS],
    /// A float a block.
    pub scales: __m256,
    /// A float a block, for its first 16 and for its last 16 elements.
    pub minima: [__m256; 2],
}

impl Panel {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn new() -> Self {
        let (bytes, floats) = (_mm256_setzero_si256(), _mm256_setzero_ps());
        Self {
            codes: [bytes; BLOCKS],
            factors: [bytes; BLOCKS],
            scales: floats,
            minima: [floats; 2],
        }
    }
}

/// A format that unpacks to panels.
pub(super) trait Unpack {
    /// Which it is.
    const FORMAT: Format;
    /// Whether codes are signed, else they are unsigned and at most 128. (The sum of two products
    /// of an unsigned and a signed byte saturates at 2^15; 2 * 128 * 127 is below.)
    const SIGNED: bool = false;
    /// Whether scales have an integer part.
    const FACTORS: bool = false;
    /// Whether there are minima. Symmetric formats with codes kept unsigned have them too.
    const MINIMA: bool = true;

    /// Unpacks whole blocks of the format, of 256 elements at most.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and F16C.
    unsafe fn unpack(bytes: &[u8], panel: &mut Panel);
}

/// The f16 numbers at an offset of eight or fewer blocks of `N` bytes, zeros behind them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn halves<const N: usize>(blocks: &[[u8; N]], offset: usize) -> __m256 {
    let at = |block: &[u8; N]| i16::from_le_bytes([block[offset], block[offset + 1]]);
    let halves = if let [a, b, c, d, e, f, g, h] = blocks {
        _mm_setr_epi16(at(a), at(b), at(c), at(d), at(e), at(f), at(g), at(h))
    } else {
        let mut some = [0; BLOCKS];
        some.iter_mut().zip(blocks).for_each(|(half, block)| *half = at(block));
        let [a, b, c, d, e, f, g, h] = some;
        _mm_setr_epi16(a, b, c, d, e, f, g, h)
    };
    _mm256_cvtph_ps(halves)
}

/// The f16 number at an offset, in all lanes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn half_at(bytes: &[u8], offset: usize) -> __m256 {
    let half = i16::from_le_bytes([bytes[offset], bytes[offset + 1]]);
    _mm256_cvtph_ps(_mm_set1_epi16(half))
}
