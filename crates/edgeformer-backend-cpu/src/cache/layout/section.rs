//! Where the rows of an op lie in a page, and how they are written and read there.
//!
//! A page has one contiguous section for each op that it holds, so that what one op needs of a
//! page in a file is one read:
//!
//! ```text
//! section   [ codes of keys | their scales | codes of values | their scales | bounds of keys ]
//! part      [head][token][element], a scale a block of elements; bounds [head][least, greatest][element]
//! ```
//!
//! Floats have no scales, and only pages that queries choose by their bounds have those. Every
//! part begins at a multiple of [`ALIGN`] bytes.

use std::ops::Range;

use edgeformer_core::CacheFormat;
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::kernels::{Kernels, KvRows};

/// A cache line: whole vectors can be read anywhere a part begins.
const ALIGN: usize = 64;

/// How elements lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) enum Storage {
    F32,
    F16,
    Q8,
    Q4,
}

/// Keys or values of some heads of an op, in one storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Side {
    pub storage: Storage,
    /// Heads that this section holds.
    pub heads: usize,
    /// Elements of a head's row.
    pub dim: usize,
    /// Elements under one scale; 1 for floats.
    block: usize,
    page_tokens: usize,
    /// Where codes and scales begin, in bytes from the section's beginning.
    codes: usize,
    scales: usize,
}

/// What one op has in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct Section {
    /// Where it begins in the page, in bytes.
    start: usize,
    /// Bytes it takes.
    pub bytes: usize,
    /// Keys, or latents with their rotated keys.
    pub keys: Side,
    /// Values; of width zero for latents.
    pub values: Side,
    bounds: Option<usize>,
}

impl Storage {
    pub fn of(format: CacheFormat) -> Self {
        match format {
            CacheFormat::F32 => Self::F32,
            CacheFormat::F16 => Self::F16,
            CacheFormat::Q8_0 => Self::Q8,
            CacheFormat::Q4_0 | CacheFormat::Q4_0H => Self::Q4,
        }
    }

    pub fn is_quantized(self) -> bool {
        matches!(self, Self::Q8 | Self::Q4)
    }

    /// Bytes of that many elements, scales not counted.
    fn code_bytes(self, elements: usize) -> usize {
        match self {
            Self::F32 => 4 * elements,
            Self::F16 => 2 * elements,
            Self::Q8 => elements,
            Self::Q4 => elements / 2,
        }
    }
}

impl Side {
    /// Rows of `dim` elements for each head and token, whose blocks are `block` long.
    pub fn new(
        storage: Storage,
        heads: usize,
        dim: usize,
        block: usize,
        page_tokens: usize,
    ) -> Self {
        Self { storage, heads, dim, block, page_tokens, codes: 0, scales: 0 }
    }

    /// Bytes of a token's row of one head: its codes and its scales.
    pub fn row_bytes(&self) -> usize {
        self.storage.code_bytes(self.dim) + self.scale_bytes(self.dim)
    }

    fn scale_bytes(&self, elements: usize) -> usize {
        if self.storage.is_quantized() { 2 * elements / self.block } else { 0 }
    }

    /// The same side from byte `start` on; returns where the next may begin.
    fn at(self, start: usize) -> (Self, usize) {
        let elements = self.heads * self.page_tokens * self.dim;
        let scales = aligned(start + self.storage.code_bytes(elements));
        let end = aligned(scales + self.scale_bytes(elements));
        (Self { codes: start, scales, ..self }, end)
    }

    /// Bytes of codes and of scales of some tokens of a head, in the section.
    fn ranges(&self, head: usize, tokens: Range<usize>) -> (Range<usize>, Range<usize>) {
        debug_assert!(head < self.heads && tokens.end <= self.page_tokens);
        let element = |token: usize| (head * self.page_tokens + token) * self.dim;
        let (first, last) = (element(tokens.start), element(tokens.end));
        let code = |element| self.codes + self.storage.code_bytes(element);
        let scale = |element| self.scales + self.scale_bytes(element);
        (code(first)..code(last), scale(first)..scale(last))
    }

    /// The rows of some tokens of a head.
    pub fn rows<'a>(&self, section: &'a [u8], head: usize, tokens: Range<usize>) -> KvRows<'a> {
        if self.dim == 0 {
            return KvRows::F32 { data: &[], stride: 0 };
        }
        let (codes, scales) = self.ranges(head, tokens);
        let (codes, scales) = (&section[codes], &section[scales]);
        let (stride, block) = (self.dim, self.block);
        match self.storage {
            Storage::F32 => KvRows::F32 { data: bytemuck::cast_slice(codes), stride },
            Storage::F16 => KvRows::F16 { data: bytemuck::cast_slice(codes), stride },
            Storage::Q8 => {
                let (codes, scales) = (bytemuck::cast_slice(codes), bytemuck::cast_slice(scales));
                KvRows::Q8 { codes, scales, stride, block }
            }
            Storage::Q4 => {
                KvRows::Q4 { codes, scales: bytemuck::cast_slice(scales), stride, block }
            }
        }
    }

    /// Stores the row of a token of a head, rounded to the storage.
    pub fn store(
        &self,
        kernels: &Kernels,
        section: &mut [u8],
        head: usize,
        token: usize,
        row: &[f32],
    ) {
        if self.dim == 0 {
            return;
        }
        let (codes, scales) = self.ranges(head, token..token + 1);
        let (left, right) = section.split_at_mut(self.scales);
        let codes = &mut left[codes];
        let scales = &mut right[scales.start - self.scales..scales.end - self.scales];
        match self.storage {
            Storage::F32 => bytemuck::cast_slice_mut(codes).copy_from_slice(row),
            Storage::F16 => {
                bytemuck::cast_slice_mut::<_, f16>(codes).convert_from_f32_slice(row);
            }
            Storage::Q8 => {
                let (codes, scales) =
                    (bytemuck::cast_slice_mut(codes), bytemuck::cast_slice_mut(scales));
                kernels.store_q8(row, self.block, codes, scales);
            }
            Storage::Q4 => {
                kernels.store_q4(row, self.block, codes, bytemuck::cast_slice_mut(scales));
            }
        }
    }

    /// Appends the stored bytes of a token's row: codes, then scales.
    pub fn append_row(&self, section: &[u8], head: usize, token: usize, to: &mut Vec<u8>) {
        let (codes, scales) = self.ranges(head, token..token + 1);
        to.extend_from_slice(&section[codes]);
        to.extend_from_slice(&section[scales]);
    }

    /// Puts the bytes of a token's row back from the beginning of `bytes`; returns the rest.
    pub fn restore_row<'b>(
        &self,
        section: &mut [u8],
        head: usize,
        token: usize,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let (codes, scales) = self.ranges(head, token..token + 1);
        let (code_bytes, rest) = bytes.split_at(codes.len());
        let (scale_bytes, rest) = rest.split_at(scales.len());
        section[codes].copy_from_slice(code_bytes);
        section[scales].copy_from_slice(scale_bytes);
        rest
    }

    /// Copies the rows of some tokens of a head to another side of the same storage.
    pub fn copy_rows(
        &self,
        section: &[u8],
        to: &Self,
        to_section: &mut [u8],
        head: usize,
        tokens: Range<usize>,
    ) {
        let (codes, scales) = self.ranges(head, tokens.clone());
        let (to_codes, to_scales) = to.ranges(head, tokens);
        to_section[to_codes].copy_from_slice(&section[codes]);
        to_section[to_scales].copy_from_slice(&section[scales]);
    }
}

impl Section {
    /// A section from byte `start` of the page on; returns where the next may begin.
    pub fn new(start: usize, keys: Side, values: Side, has_bounds: bool) -> (Self, usize) {
        let (keys, end) = keys.at(0);
        let (values, end) = values.at(end);
        let bounds = has_bounds.then_some(end);
        let bound_bytes = if has_bounds { 2 * 4 * keys.heads * keys.dim } else { 0 };
        let bytes = aligned(end + bound_bytes);
        (Self { start, bytes, keys, values, bounds }, start + bytes)
    }

    /// Its bytes in a page.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.bytes
    }

    /// Bytes of the bounds of all heads, in the section; empty if it has none.
    pub fn bound_range(&self) -> Range<usize> {
        let start = self.bounds.unwrap_or(0);
        start
            ..start
                + if self.bounds.is_some() { 2 * 4 * self.keys.heads * self.keys.dim } else { 0 }
    }

    /// The least and the greatest of every key element of a head.
    pub fn bounds<'a>(&self, section: &'a [u8], head: usize) -> Option<(&'a [f32], &'a [f32])> {
        self.bounds?;
        let floats: &[f32] = bytemuck::cast_slice(&section[self.bound_range()]);
        Some(floats[2 * head * self.keys.dim..][..2 * self.keys.dim].split_at(self.keys.dim))
    }

    /// Finds the bounds of a full page's keys. `row` has room for one.
    pub fn find_bounds(&self, kernels: &Kernels, section: &mut [u8], row: &mut [f32]) {
        let Some(start) = self.bounds else { return };
        let (keys, bounds) = section.split_at_mut(start);
        let dim = self.keys.dim;
        if dim == 0 {
            return;
        }
        let bounds: &mut [f32] = bytemuck::cast_slice_mut(&mut bounds[..self.bound_range().len()]);
        for (head, bounds) in bounds.chunks_exact_mut(2 * dim).enumerate() {
            let (least, greatest) = bounds.split_at_mut(dim);
            least.fill(f32::INFINITY);
            greatest.fill(f32::NEG_INFINITY);
            for token in 0..self.keys.page_tokens {
                let row = &mut row[..dim];
                kernels.decode_rows(self.keys.rows(keys, head, token..token + 1), dim, row);
                for ((least, greatest), &x) in least.iter_mut().zip(&mut *greatest).zip(&*row) {
                    *least = least.min(x);
                    *greatest = greatest.max(x);
                }
            }
        }
    }
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}
