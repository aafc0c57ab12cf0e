//! Products of matrices of f32 with the kernels that candle uses, on the threads of the pool that asks.
//!
//! Candle asks the system for its processors at every product, and a pool of one thread packs its
//! matrices once for each of them. Where batches are learned in shares, one a thread, both are felt.
#![allow(unsafe_code, reason = "the crate `gemm` has no safe form")]

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use gemm::Parallelism;

/// A matrix in a slice: element `(row, column)` is at `row * strides[0] + column * strides[1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> View<'a> {
    /// # Panics
    /// If an element would lie outside the slice.
    pub fn new(values: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        let last = |side: usize| (shape[side].max(1) - 1) * strides[side];
        let inside = shape.contains(&0) || last(0) + last(1) < values.len();
        assert!(inside, "{shape:?} by {strides:?} is more than {} values", values.len());
        Self { values, shape, strides }
    }

    fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (CpuStorage::F32(values), &[rows, columns]) = (storage, layout.stride()) else {
            bail!("a product is of two matrices of f32");
        };
        let (height, width) = layout.shape().dims2()?;
        Ok(Self::new(&values[layout.start_offset()..], [height, width], [rows, columns]))
    }

    /// The product with another matrix, row by row behind what `out` has.
    ///
    /// # Panics
    /// If the other has not as many rows as this has columns.
    pub fn times(self, other: Self, out: &mut Vec<f32>) {
        let ([rows, depth], [other_rows, columns]) = (self.shape, other.shape);
        assert_eq!(depth, other_rows, "matrices of a product fit each other");
        let (start, count) = (out.len(), rows * columns);
        if depth == 0 || count == 0 {
            return out.resize(start + count, 0.0);
        }
        out.reserve(count);
        let threads = rayon::current_num_threads();
        let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
        let [left, right] = [self.strides, other.strides].map(|both| both.map(|one| one as isize));
        // SAFETY: `out` has room for `count` more values, which are written in rows of `columns`, all of
        // them and without being read, and only then counted as there. Elements of both matrices lie
        // in their slices: `new` looked.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                depth,
                out.as_mut_ptr().add(start),
                1,
                columns as isize,
                false,
                self.values.as_ptr(),
                left[1],
                left[0],
                other.values.as_ptr(),
                right[1],
                right[0],
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
            out.set_len(start + count);
        }
    }
}

/// The product of two matrices on the processor, however they lie; it has no gradient.
pub(crate) struct Times;

impl Times {
    /// What it makes of two storages.
    pub fn storages(
        left: &CpuStorage,
        left_at: &Layout,
        right: &CpuStorage,
        right_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, depth), (_, columns)) = (left_at.shape().dims2()?, right_at.shape().dims2()?);
        let shape = Shape::from((rows, columns));
        let (CpuStorage::F32(_), CpuStorage::F32(_)) = (left, right) else {
            let made = left.matmul(right, (1, rows, columns, depth), left_at, right_at)?;
            return Ok((made, shape));
        };
        let mut out = Vec::new();
        View::of(left, left_at)?.times(View::of(right, right_at)?, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }
}

impl CustomOp2 for Times {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_at: &Layout,
        right: &CpuStorage,
        right_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Self::storages(left, left_at, right, right_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whole numbers: sums are exact in any order.
    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 7 + seed) % 13) as f32 - 6.0).collect()
    }

    #[test]
    #[should_panic(expected = "more than 5 values")]
    fn a_view_outside_its_slice_is_refused() {
        View::new(&[0.0; 5], [2, 3], [3, 1]);
    }

    proptest! {
        #[test]
        fn it_is_the_sum_over_the_depth(
            [rows, depth, columns] in prop::array::uniform3(0usize..40),
            turned in any::<[bool; 2]>(),
            threads in 1usize..3,
        ) {
            let (a, b) = (values(rows * depth, 1), values(depth * columns, 5));
            let lies = |values, shape: [usize; 2], turned| {
                View::new(values, shape, if turned { [1, shape[0]] } else { [shape[1], 1] })
            };
            let left = lies(&a, [rows, depth], turned[0]);
            let right = lies(&b, [depth, columns], turned[1]);
            let at = |view: &View<'_>, row, column| {
                view.values[row * view.strides[0] + column * view.strides[1]]
            };
            let mut expected = vec![9.0];
            for row in 0..rows {
                for column in 0..columns {
                    let terms = (0..depth).map(|step| at(&left, row, step) * at(&right, step, column));
                    expected.push(terms.sum::<f32>());
                }
            }
            let mut found = vec![9.0];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| left.times(right, &mut found));
            prop_assert_eq!(found, expected);
        }
    }
}
