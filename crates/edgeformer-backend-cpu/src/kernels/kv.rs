//! Keys and values as the cache keeps them, and what attention does with them.
//!
//! A query meets keys row by row: [`Kernels::scores`] multiplies, [`Kernels::exp_minus`] weighs,
//! [`Kernels::accumulate`] sums values up. What a query gets depends on its own row, the keys and
//! values it is given and their order alone: not on how many queries or keys are in the call.
//! Quantized keys are multiplied with queries in 8 bits, block by block: the products of codes are
//! integers and exact. Quantized values become floats in registers.

use edgeformer_core::CacheFormat;
use half::f16;

use super::Kernels;

/// The code of zero in four bits.
pub(super) const Q4_ZERO: i32 = 8;

/// Rows of keys, values or latents, `stride` elements apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KvRows<'a> {
    /// 32-bit floats.
    F32 {
        /// Elements.
        data: &'a [f32],
        /// Elements from row to row.
        stride: usize,
    },
    /// 16-bit floats.
    F16 {
        /// Elements.
        data: &'a [f16],
        /// Elements from row to row.
        stride: usize,
    },
    /// 8-bit codes: element `i` of row `r` is `scales[j / block] * codes[j]`, `j = r * stride + i`.
    Q8 {
        /// A byte an element.
        codes: &'a [i8],
        /// One a block.
        scales: &'a [f16],
        /// Elements from row to row, a multiple of `block`.
        stride: usize,
        /// Elements under one scale: 32, 16 or 8.
        block: usize,
    },
    /// 4-bit codes, two a byte: byte `i` of a block holds element `i` in its low half and element
    /// `i + block / 2` in its high half, as in GGUF's Q4_0; an element is `scale * (code - 8)`.
    Q4 {
        /// Half a byte an element.
        codes: &'a [u8],
        /// One a block.
        scales: &'a [f16],
        /// Elements from row to row, a multiple of `block`.
        stride: usize,
        /// Elements under one scale: 32, 16 or 8.
        block: usize,
    },
}

/// Query rows, in the forms that keys may ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Queries<'a> {
    /// Rows of `width` floats.
    pub floats: &'a [f32],
    /// The same rows in 8 bits, for quantized keys; empty if there are none.
    pub codes: &'a [i8],
    /// A scale for each block of `codes`, of the keys' block length.
    pub scales: &'a [f32],
    /// Elements of a row.
    pub width: usize,
}

impl<'a> KvRows<'a> {
    /// Elements from row to row.
    pub fn stride(&self) -> usize {
        match *self {
            Self::F32 { stride, .. }
            | Self::F16 { stride, .. }
            | Self::Q8 { stride, .. }
            | Self::Q4 { stride, .. } => stride,
        }
    }

    /// The rows from row `first` on.
    ///
    /// # Panics
    /// If that is beyond the last.
    #[allow(clippy::wrong_self_convention, reason = "rows from a row on, not made from a row")]
    pub fn from_row(self, first: usize) -> Self {
        match self {
            Self::F32 { data, stride } => Self::F32 { data: &data[first * stride..], stride },
            Self::F16 { data, stride } => Self::F16 { data: &data[first * stride..], stride },
            Self::Q8 { codes, scales, stride, block } => {
                let (codes, scales) = (&codes[first * stride..], &scales[first * stride / block..]);
                Self::Q8 { codes, scales, stride, block }
            }
            Self::Q4 { codes, scales, stride, block } => {
                let (codes, scales) =
                    (&codes[first * stride / 2..], &scales[first * stride / block..]);
                Self::Q4 { codes, scales, stride, block }
            }
        }
    }

    /// Panics unless `count` rows of `width` elements can be read.
    fn check(&self, count: usize, width: usize) {
        if count == 0 {
            return;
        }
        let elements = (count - 1) * self.stride() + width;
        let fits = match *self {
            Self::F32 { data, .. } => data.len() >= elements,
            Self::F16 { data, .. } => data.len() >= elements,
            Self::Q8 { codes, scales, stride, block } => {
                are_blocks(stride, width, block)
                    && codes.len() >= elements
                    && scales.len() >= elements / block
            }
            Self::Q4 { codes, scales, stride, block } => {
                are_blocks(stride, width, block)
                    && codes.len() >= elements / 2
                    && scales.len() >= elements / block
            }
        };
        assert!(fits, "{count} rows of {width} elements are not there");
    }
}

fn are_blocks(stride: usize, width: usize, block: usize) -> bool {
    matches!(block, 8 | 16 | 32) && stride.is_multiple_of(block) && width.is_multiple_of(block)
}

impl Queries<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.floats.len() / self.width.max(1)
    }

    /// Rows `first..first + count`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn slice(&self, first: usize, count: usize) -> Self {
        let elements = first * self.width..(first + count) * self.width;
        let codes = if self.codes.is_empty() { self.codes } else { &self.codes[elements.clone()] };
        let blocks = self.scales.len() / self.len().max(1);
        let scales = &self.scales[first * blocks..(first + count) * blocks];
        Self { floats: &self.floats[elements], codes, scales, width: self.width }
    }
}

impl Kernels {
    /// Rows to 8 bits in blocks: element `i` is about `scales[i / block] * codes[i]`, with codes in
    /// -127..=127 and the scale a 127th of the block's largest magnitude; NaN if that is not
    /// finite.
    ///
    /// # Panics
    /// If the lengths are not those of whole blocks.
    pub fn quantize_queries(
        &self,
        floats: &[f32],
        block: usize,
        codes: &mut [i8],
        scales: &mut [f32],
    ) {
        assert!(matches!(block, 8 | 16 | 32), "blocks of {block}");
        assert!(codes.len() == floats.len() && scales.len() * block == floats.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.quantize_queries)(floats, block, codes, scales) }
    }

    /// `out[q * out_stride + k]` = query `q` times key `k`, for the first `count` keys and all
    /// queries.
    ///
    /// # Panics
    /// If keys, codes of the queries or room for the scores are missing.
    pub fn scores(
        &self,
        queries: Queries<'_>,
        keys: KvRows<'_>,
        count: usize,
        out: &mut [f32],
        out_stride: usize,
    ) {
        keys.check(count, queries.width);
        let rows = queries.len();
        assert_eq!(queries.floats.len(), rows * queries.width, "whole queries");
        assert!(rows == 0 || out.len() >= (rows - 1) * out_stride + count, "room for scores");
        if let KvRows::Q8 { block, .. } | KvRows::Q4 { block, .. } = keys {
            assert_eq!(queries.codes.len(), queries.floats.len(), "queries in 8 bits");
            assert_eq!(queries.scales.len() * block, queries.codes.len(), "blocks as the keys'");
        }
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.scores)(queries, keys, count, out, out_stride) }
    }

    /// `sums[q * width + d]` += the sum over the first `count` values `k`, in order, of
    /// `weights[q * weights_stride + k] * value[k][d]`.
    ///
    /// # Panics
    /// If weights or values are missing.
    pub fn accumulate(
        &self,
        weights: &[f32],
        weights_stride: usize,
        values: KvRows<'_>,
        count: usize,
        sums: &mut [f32],
        width: usize,
    ) {
        values.check(count, width);
        assert!(width > 0 && sums.len().is_multiple_of(width), "whole sums");
        let rows = sums.len() / width;
        assert!(rows == 0 || weights.len() >= (rows - 1) * weights_stride + count, "weights");
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.accumulate)(weights, weights_stride, values, count, sums, width) }
    }

    /// The largest element, minus infinity if there is none.
    pub fn largest(&self, x: &[f32]) -> f32 {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.kv.largest)(x) }
    }

    /// `x = exp(x - max)`; returns the sum.
    pub fn exp_minus(&self, x: &mut [f32], max: f32) -> f32 {
        // SAFETY: the machine has `self.isa`.
        unsafe { (self.kv.exp_minus)(x, max) }
    }

    /// A row to 8-bit codes and scales, as [`KvRows::Q8`].
    ///
    /// # Panics
    /// If the lengths are not those of whole blocks.
    pub fn store_q8(&self, row: &[f32], block: usize, codes: &mut [i8], scales: &mut [f16]) {
        assert!(are_blocks(row.len(), row.len(), block), "blocks of {block}");
        assert!(codes.len() == row.len() && scales.len() * block == row.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.store_q8)(row, block, codes, scales) }
    }

    /// A row to 4-bit codes and scales, as [`KvRows::Q4`].
    ///
    /// # Panics
    /// If the lengths are not those of whole blocks.
    pub fn store_q4(&self, row: &[f32], block: usize, codes: &mut [u8], scales: &mut [f16]) {
        assert!(are_blocks(row.len(), row.len(), block), "blocks of {block}");
        assert!(2 * codes.len() == row.len() && scales.len() * block == row.len());
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.store_q4)(row, block, codes, scales) }
    }

    /// The first `out.len() / width` rows as floats.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn decode_rows(&self, rows: KvRows<'_>, width: usize, out: &mut [f32]) {
        assert!(width > 0 && out.len().is_multiple_of(width), "whole rows");
        rows.check(out.len() / width, width);
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.decode_rows)(rows, width, out) }
    }

    /// Rotates every `group` neighbouring elements by the normalised Walsh-Hadamard matrix, which
    /// is its own inverse.
    ///
    /// # Panics
    /// If `group` is no power of two or does not divide the length.
    pub fn hadamard(&self, x: &mut [f32], group: usize) {
        assert!(group.is_power_of_two() && x.len().is_multiple_of(group), "groups of {group}");
        // SAFETY: the machine has `self.isa`; the lengths were checked.
        unsafe { (self.kv.hadamard)(x, group) }
    }
}

/// How long the parts are that [`CacheFormat::Q4_0H`] rotates in rows of `width`: the largest
/// power of two that divides it.
pub fn rotation(format: CacheFormat, width: usize) -> Option<usize> {
    (format == CacheFormat::Q4_0H && width > 0).then(|| 1 << width.trailing_zeros())
}

/// The kernels of a table that work on keys and values.
pub(super) struct KvKernels {
    pub quantize_queries: unsafe fn(&[f32], usize, &mut [i8], &mut [f32]),
    pub scores: unsafe fn(Queries<'_>, KvRows<'_>, usize, &mut [f32], usize),
    pub accumulate: unsafe fn(&[f32], usize, KvRows<'_>, usize, &mut [f32], usize),
    pub largest: unsafe fn(&[f32]) -> f32,
    pub exp_minus: unsafe fn(&mut [f32], f32) -> f32,
    pub store_q8: unsafe fn(&[f32], usize, &mut [i8], &mut [f16]),
    pub store_q4: unsafe fn(&[f32], usize, &mut [u8], &mut [f16]),
    pub decode_rows: unsafe fn(KvRows<'_>, usize, &mut [f32]),
    pub hadamard: unsafe fn(&mut [f32], usize),
}
