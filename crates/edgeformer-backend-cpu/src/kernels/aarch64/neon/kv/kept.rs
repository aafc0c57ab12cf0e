//! Rows of keys and values as the cache keeps them.

use std::arch::aarch64::*;
use std::marker::PhantomData;

use half::f16;

use super::super::dot_product::DotProduct;
use super::super::float::{F16, F32, Widen};
use super::codes::{Block, Q4, Q8, widen};
use super::scores::{self, KEYS, Scores};
use crate::kernels::Queries;
use crate::kernels::kv::KvRows;

/// Rows of some format.
pub(super) trait Kept: Copy {
    /// Elements `column..column + 8` of a row.
    ///
    /// # Safety
    /// There are such elements, and `column` is a multiple of eight.
    unsafe fn eight(self, row: usize, column: usize) -> [float32x4_t; 2];

    /// The last `len` elements of a row, from `column` on; zeros behind them.
    ///
    /// # Safety
    /// There are such elements; `column` is a multiple of eight, and `len` below eight.
    unsafe fn rest(self, row: usize, column: usize, len: usize) -> [float32x4_t; 2];

    /// The scores of `Q` queries from `query` on with four keys.
    ///
    /// # Safety
    /// There are such queries, in the form that the keys want, and such keys; the machine has the
    /// instructions of `P`.
    unsafe fn scores<P: DotProduct, const Q: usize>(
        self,
        queries: &Queries<'_>,
        query: usize,
        keys: [usize; KEYS],
    ) -> Scores<Q>;
}

/// Rows of floats.
pub(super) struct Floats<'a, F> {
    pub data: *const u8,
    pub stride: usize,
    format: PhantomData<(&'a [u8], F)>,
}

impl<F> Clone for Floats<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Floats<'_, F> {}

impl<'a> Floats<'a, F32> {
    pub fn new(data: &'a [f32], stride: usize) -> Self {
        Self { data: data.as_ptr().cast(), stride, format: PhantomData }
    }
}

impl<'a> Floats<'a, F16> {
    pub fn new(data: &'a [f16], stride: usize) -> Self {
        Self { data: data.as_ptr().cast(), stride, format: PhantomData }
    }
}

impl<F: Widen> Kept for Floats<'_, F> {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn eight(self, row: usize, column: usize) -> [float32x4_t; 2] {
        // SAFETY: there are such elements.
        unsafe { F::widen(self.data.add((row * self.stride + column) * F::BYTES)) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn rest(self, row: usize, column: usize, len: usize) -> [float32x4_t; 2] {
        let mut bytes = [0u8; 32];
        // SAFETY: there are such elements, of four bytes at most.
        unsafe {
            let from = self.data.add((row * self.stride + column) * F::BYTES);
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len * F::BYTES);
            F::widen(bytes.as_ptr())
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scores<P: DotProduct, const Q: usize>(
        self,
        queries: &Queries<'_>,
        query: usize,
        keys: [usize; KEYS],
    ) -> Scores<Q> {
        // SAFETY: the caller's.
        unsafe { scores::of_floats(self, queries, query, keys) }
    }
}

/// Rows of codes, `N` times eight under one scale.
pub(super) struct Codes<'a, B, const N: usize> {
    pub codes: *const u8,
    pub scales: &'a [f16],
    pub stride: usize,
    format: PhantomData<B>,
}

impl<B, const N: usize> Clone for Codes<'_, B, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B, const N: usize> Copy for Codes<'_, B, N> {}

impl<'a, B: Block<N>, const N: usize> Codes<'a, B, N> {
    fn new<T>(codes: &'a [T], scales: &'a [f16], stride: usize) -> Self {
        Self { codes: codes.as_ptr().cast(), scales, stride, format: PhantomData }
    }

    /// Where block `index` begins, counted from the first row, and its scale.
    ///
    /// # Safety
    /// There is such a block.
    #[inline]
    #[target_feature(enable = "neon")]
    pub unsafe fn block(self, index: usize) -> (*const u8, &'a f16) {
        // SAFETY: there are as many blocks of codes as scales.
        unsafe { (self.codes.add(index * N * B::BYTES), self.scales.get_unchecked(index)) }
    }
}

impl<B: Block<N>, const N: usize> Kept for Codes<'_, B, N> {
    /// A scale times a code is exact.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn eight(self, row: usize, column: usize) -> [float32x4_t; 2] {
        let element = row * self.stride + column;
        // SAFETY: there is such an element, and its block with it.
        let (codes, scale) = unsafe {
            let (block, scale) = self.block(element / (8 * N));
            (vmovl_s8(B::part(block, element / 8 % N)), vgetq_lane_f32::<0>(widen([scale; 4])))
        };
        let (low, high) = (vmovl_s16(vget_low_s16(codes)), vmovl_high_s16(codes));
        [vmulq_n_f32(vcvtq_f32_s32(low), scale), vmulq_n_f32(vcvtq_f32_s32(high), scale)]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn rest(self, _: usize, _: usize, _: usize) -> [float32x4_t; 2] {
        unreachable!("rows of codes are whole blocks")
    }

    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn scores<P: DotProduct, const Q: usize>(
        self,
        queries: &Queries<'_>,
        query: usize,
        keys: [usize; KEYS],
    ) -> Scores<Q> {
        // SAFETY: the caller's.
        unsafe { scores::of_codes::<P, B, N, Q>(self, queries, query, keys) }
    }
}

/// What is done with rows of any format.
pub(super) trait Task {
    /// # Safety
    /// The rows are as the caller of [`with_rows`] promised.
    unsafe fn run<D: Kept>(self, rows: D);
}

/// # Safety
/// Blocks are as [`KvRows`] says; what the task reads of the rows is there.
#[target_feature(enable = "neon")]
pub(super) unsafe fn with_rows(rows: KvRows<'_>, task: impl Task) {
    // SAFETY: the caller's.
    unsafe {
        match rows {
            KvRows::F32 { data, stride } => task.run(Floats::<F32>::new(data, stride)),
            KvRows::F16 { data, stride } => task.run(Floats::<F16>::new(data, stride)),
            KvRows::Q8 { codes, scales, stride, block } => match block {
                32 => task.run(Codes::<Q8, 4>::new(codes, scales, stride)),
                16 => task.run(Codes::<Q8, 2>::new(codes, scales, stride)),
                _ => task.run(Codes::<Q8, 1>::new(codes, scales, stride)),
            },
            KvRows::Q4 { codes, scales, stride, block } => match block {
                32 => task.run(Codes::<Q4, 4>::new(codes, scales, stride)),
                16 => task.run(Codes::<Q4, 2>::new(codes, scales, stride)),
                _ => task.run(Codes::<Q4, 1>::new(codes, scales, stride)),
            },
        }
    }
}
