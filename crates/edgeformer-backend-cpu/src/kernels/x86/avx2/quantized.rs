//! Products of quantized weights with 8-bit activations.
//!
//! The loops, from the outside: 32 tokens, 4 weight rows, 256 columns, one row's panel, 4 tokens,
//! blocks. A panel is unpacked once for 32 tokens and stays, like the tokens' codes for these
//! columns, in the first-level cache. The eight lanes of each (row, token) pair are kept from
//! panel to panel and added up at the end: the order of additions is the same for every shape.

use std::arch::x86_64::*;

use super::panel::{BLOCKS, ELEMENTS, Panel, Unpack};
use super::vector;
use crate::kernels::q8::{BLOCK, Q8RowMut};
use crate::kernels::scalar::quantized::block_scale;
use crate::kernels::{ColumnsMut, Q8Rows};

/// Weight rows whose panels meet the same activations before the next columns.
const ROWS: usize = 4;
/// Tokens that share an unpacked panel.
const TOKENS: usize = 32;
/// Tokens whose lanes are in registers at a time.
const TILE: usize = 4;
/// Bytes that the weights of a single token are asked for ahead of their use: measured half as
/// fast again as by the hardware alone (Xeon, other work beside it). Float formats gain nothing.
const AHEAD: usize = 2048;

/// Where the activations of a token start: rows of one matrix.
#[derive(Clone, Copy)]
struct Token {
    codes: *const i8,
    scales: *const f32,
    sums: [*const f32; 2],
}

impl Token {
    const NONE: Self = {
        let none = std::ptr::null();
        Self { codes: std::ptr::null(), scales: none, sums: [none; 2] }
    };

    fn new(x: Q8Rows<'_>, index: usize) -> Self {
        let row = x.row(index);
        let sums = [row.low_sums.as_ptr(), row.high_sums.as_ptr()];
        Self { codes: row.codes.as_ptr(), scales: row.scales.as_ptr(), sums }
    }

    /// Its activations from panel `index`.
    ///
    /// # Safety
    /// The row has such a panel, or it is the end of the row.
    #[inline]
    unsafe fn panel(self, index: usize) -> Self {
        let (codes, blocks) = (index * ELEMENTS, index * BLOCKS);
        // SAFETY: rows of codes have the columns of the matrix, rows of scales and sums are padded
        // to whole panels, so panel `index` starts within them.
        unsafe {
            Self {
                codes: self.codes.add(codes),
                scales: self.scales.add(blocks),
                sums: self.sums.map(|sums| sums.add(blocks)),
            }
        }
    }
}

type Sums = [[__m256; TOKENS]; ROWS];

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul<F: Unpack>(
    weights: &[u8],
    columns: usize,
    x: Q8Rows<'_>,
    out: &mut ColumnsMut<'_>,
) {
    let row_bytes = columns / F::FORMAT.block_len() * F::FORMAT.block_bytes();
    if x.len() == 1 {
        return matmul_one::<F>(weights, columns, Token::new(x, 0), out.row_mut(0));
    }
    let mut sums: Sums = [[_mm256_setzero_ps(); TOKENS]; ROWS];
    for first in (0..x.len()).step_by(TOKENS) {
        let mut tokens = [Token::NONE; TOKENS];
        let count = TOKENS.min(x.len() - first);
        for (index, token) in tokens[..count].iter_mut().enumerate() {
            *token = Token::new(x, first + index);
        }
        for (tile, rows) in weights.chunks(ROWS * row_bytes).enumerate() {
            // SAFETY: the tokens are rows of `columns` codes, with scales and sums.
            unsafe { multiply_rows::<F>(rows, columns, &tokens[..count], &mut sums) };
            for (row, sums) in sums.iter_mut().take(rows.len() / row_bytes).enumerate() {
                for (token, sum) in sums[..count].iter_mut().enumerate() {
                    out.set(first + token, tile * ROWS + row, vector::sum(*sum));
                    *sum = _mm256_setzero_ps();
                }
            }
        }
    }
}

/// Adds the products of a few weight rows with the tokens to `sums`.
///
/// # Safety
/// Every token has `columns` codes, and scales and sums for them, padded to whole panels.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply_rows<F: Unpack>(rows: &[u8], columns: usize, tokens: &[Token], sums: &mut Sums) {
    let row_bytes = columns / F::FORMAT.block_len() * F::FORMAT.block_bytes();
    let panel_bytes = ELEMENTS / F::FORMAT.block_len() * F::FORMAT.block_bytes();
    let mut panel = Panel::new();
    for index in 0..columns.div_ceil(ELEMENTS) {
        let bytes = index * panel_bytes..row_bytes.min((index + 1) * panel_bytes);
        let blocks = BLOCKS.min(columns / BLOCK - index * BLOCKS);
        for (row, sums) in rows.chunks_exact(row_bytes).zip(sums.iter_mut()) {
            // SAFETY: this function runs, so the machine has the features.
            unsafe { F::unpack(&row[bytes.clone()], &mut panel) };
            for (tokens, sums) in tokens.chunks(TILE).zip(sums.chunks_mut(TILE)) {
                // SAFETY: panel `index` begins within the columns, and `blocks` are left there.
                unsafe {
                    match tokens {
                        [] => {}
                        &[a] => multiply::<F, 1>(&panel, blocks, [a.panel(index)], sums),
                        &[a, b] => {
                            multiply::<F, 2>(&panel, blocks, [a, b].map(|t| t.panel(index)), sums);
                        }
                        &[a, b, c] => {
                            let tokens = [a, b, c].map(|t| t.panel(index));
                            multiply::<F, 3>(&panel, blocks, tokens, sums);
                        }
                        &[a, b, c, d, ..] => {
                            let tokens = [a, b, c, d].map(|t| t.panel(index));
                            multiply::<F, 4>(&panel, blocks, tokens, sums);
                        }
                    }
                }
            }
        }
    }
}

/// The product with a single token, row after row: memory is read in one stream. As many blocks
/// as can be are in panels of known length that are nobody else's, so that the compiler keeps them
/// in registers. What is added up, and in which order, is [`multiply`]'s business here too.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn matmul_one<F: Unpack>(weights: &[u8], columns: usize, token: Token, out: &mut [f32]) {
    let row_bytes = columns / F::FORMAT.block_len() * F::FORMAT.block_bytes();
    let panel_bytes = const { ELEMENTS / F::FORMAT.block_len() * F::FORMAT.block_bytes() };
    for (row, out) in weights.chunks_exact(row_bytes).zip(out) {
        let mut sums = [_mm256_setzero_ps()];
        let panels = row.chunks_exact(panel_bytes);
        let (rest, whole) = (panels.remainder(), panels.len());
        for (index, bytes) in panels.enumerate() {
            // A hint, which may point anywhere.
            for line in (0..panel_bytes).step_by(64) {
                _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(AHEAD + line).cast());
            }
            let mut panel = Panel::new();
            // SAFETY: this function runs, so the machine has the features; panel `index` begins
            // within the columns and is whole.
            unsafe {
                F::unpack(&bytes[..panel_bytes], &mut panel);
                multiply::<F, 1>(&panel, BLOCKS, [token.panel(index)], &mut sums);
            }
        }
        if !rest.is_empty() {
            let mut panel = Panel::new();
            let blocks = columns / BLOCK - whole * BLOCKS;
            // SAFETY: as above, with so many blocks left in the columns.
            unsafe {
                F::unpack(rest, &mut panel);
                multiply::<F, 1>(&panel, blocks, [token.panel(whole)], &mut sums);
            }
        }
        *out = vector::sum(sums[0]);
    }
}

/// Adds the products of a panel with `T` tokens to their lanes: blocks in order, minima last.
///
/// Within a block: 16 sums of two products (exact in 16 bits, see [`Unpack::SIGNED`]), each times
/// its factor, added in fours (exact in 32 bits, below 2^24 and so exact as floats).
///
/// # Safety
/// Every token has codes for `blocks` blocks, and eight scales and sums.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply<F: Unpack, const T: usize>(
    panel: &Panel,
    blocks: usize,
    tokens: [Token; T],
    sums: &mut [__m256],
) {
    let mut lanes: [__m256; T] = *sums.first_chunk().expect("there are lanes for the tokens");
    let mut scales = [[0.0; BLOCKS]; T];
    for (scales, token) in scales.iter_mut().zip(&tokens) {
        // SAFETY: the token has eight scales.
        let of_token = unsafe { _mm256_loadu_ps(token.scales) };
        vector::store(_mm256_mul_ps(panel.scales, of_token), scales);
    }
    let ones = _mm256_set1_epi16(1);
    for block in 0..blocks.min(BLOCKS) {
        let codes = panel.codes[block];
        let magnitudes = if F::SIGNED { _mm256_abs_epi8(codes) } else { codes };
        let factors = if F::FACTORS { panel.factors[block] } else { ones };
        for ((lanes, token), scales) in lanes.iter_mut().zip(&tokens).zip(&scales) {
            // SAFETY: the token has the codes of this block.
            let x = unsafe { _mm256_loadu_si256(token.codes.add(block * BLOCK).cast()) };
            let x = if F::SIGNED { _mm256_sign_epi8(x, codes) } else { x };
            let pairs = _mm256_maddubs_epi16(magnitudes, x);
            let fours = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, factors));
            *lanes = _mm256_fmadd_ps(fours, _mm256_set1_ps(scales[block]), *lanes);
        }
    }
    if F::MINIMA {
        for (lanes, token) in lanes.iter_mut().zip(&tokens) {
            for (&minima, sums) in panel.minima.iter().zip(token.sums) {
                // SAFETY: the token has eight sums.
                *lanes = _mm256_fmadd_ps(minima, unsafe { _mm256_loadu_ps(sums) }, *lanes);
            }
        }
    }
    sums[..T].copy_from_slice(&lanes);
}

/// A row of activations to 8 bits; same bits as in the scalar table.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize_row(values: &[f32], out: Q8RowMut<'_>) {
    let (values, _) = values.as_chunks::<BLOCK>();
    let (codes, _) = out.codes.as_chunks_mut::<BLOCK>();
    for (index, (values, codes)) in values.iter().zip(codes).enumerate() {
        let (scale, sums) = quantize_block(values, codes);
        out.scales[index] = scale;
        out.sums[index] = scale * (sums[0] + sums[1]) as f32;
        out.low_sums[index] = scale * sums[0] as f32;
        out.high_sums[index] = scale * sums[1] as f32;
    }
}

/// Writes the codes; returns the scale, and the sums of the first and the last 16 codes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn quantize_block(values: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> (f32, [i32; 2]) {
    let mut vectors = [_mm256_setzero_ps(); 4];
    for (vector, values) in vectors.iter_mut().zip(values.as_chunks().0) {
        *vector = vector::load(values);
    }
    let scale = block_scale(largest_magnitude(&vectors));
    if scale.is_nan() || scale == 0.0 {
        codes.fill(0);
        return (scale, [0; 2]);
    }
    let inverse = _mm256_set1_ps(1.0 / scale);
    let [a, b, c, d] = vectors.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse)));
    // Packing works within 128-bit halves: the groups of four come out as 0 2 4 6 1 3 5 7.
    let packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    // SAFETY: 32 bytes are writable; the store needs no alignment.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), packed) };
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    let total = |fours: __m128i| {
        let two = _mm_add_epi32(fours, _mm_unpackhi_epi64(fours, fours));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
    };
    let sums = [_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours)];
    (scale, sums.map(total))
}

/// The bits of the largest magnitude. As integers, magnitudes sort like floats, and NaN above
/// infinity.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn largest_magnitude(vectors: &[__m256; 4]) -> u32 {
    let magnitudes = _mm256_set1_epi32(i32::MAX);
    let [a, b, c, d] = vectors.map(|v| _mm256_and_si256(_mm256_castps_si256(v), magnitudes));
    let eight = _mm256_max_epi32(_mm256_max_epi32(a, b), _mm256_max_epi32(c, d));
    let four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32::<1>(two))).cast_unsigned()
}
