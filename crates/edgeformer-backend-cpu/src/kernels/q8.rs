//! Activations in 8 bits.

use edgeformer_core::Rows;

use super::Kernels;

/// Elements under one scale.
pub(super) const BLOCK: usize = 32;
/// Blocks that kernels take at a time: rows of scales and sums are padded to them with zeros.
pub(super) const GROUP: usize = 8;

/// Rows of activations as blocks of 32 signed bytes.
///
/// Element `i` of block `b` is `scales[b] * codes[32 * b + i]`, with codes in -127..=127 and the
/// scale a 127th of the largest magnitude. A block with a NaN or an infinity has the scale NaN.
/// For formats with minima, `sums[b]` is the sum of the block's elements, `low_sums[b]` and
/// `high_sums[b]` are those of the first and of the last 16.
#[derive(Debug, Clone, Copy)]
pub struct Q8Rows<'a> {
    codes: &'a [i8],
    scales: &'a [f32],
    sums: &'a [f32],
    low_sums: &'a [f32],
    high_sums: &'a [f32],
    columns: usize,
}

/// One row of [`Q8Rows`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Q8Row<'a> {
    /// `columns` codes.
    pub codes: &'a [i8],
    /// A scale a block, zeros behind.
    pub scales: &'a [f32],
    /// A sum a block, zeros behind.
    pub sums: &'a [f32],
    /// A sum a block, zeros behind.
    pub low_sums: &'a [f32],
    /// A sum a block, zeros behind.
    pub high_sums: &'a [f32],
}

/// One row to be written.
pub(super) struct Q8RowMut<'a> {
    /// `columns` codes.
    pub codes: &'a mut [i8],
    /// A scale a block; what is behind stays zero.
    pub scales: &'a mut [f32],
    /// A sum a block; what is behind stays zero.
    pub sums: &'a mut [f32],
    /// A sum a block; what is behind stays zero.
    pub low_sums: &'a mut [f32],
    /// A sum a block; what is behind stays zero.
    pub high_sums: &'a mut [f32],
}

/// Scales (and sums) that a row takes up.
fn padded_blocks(columns: usize) -> usize {
    (columns / BLOCK).next_multiple_of(GROUP)
}

impl<'a> Q8Rows<'a> {
    /// Columns of a row, a multiple of 32.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.codes.len() / self.columns
    }

    /// Rows `first..first + count`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn slice(&self, first: usize, count: usize) -> Self {
        let blocks = padded_blocks(self.columns);
        let part = |all: &'a [f32]| &all[first * blocks..][..count * blocks];
        Self {
            codes: &self.codes[first * self.columns..][..count * self.columns],
            scales: part(self.scales),
            sums: part(self.sums),
            low_sums: part(self.low_sums),
            high_sums: part(self.high_sums),
            columns: self.columns,
        }
    }

    /// Row `index`.
    pub(super) fn row(&self, index: usize) -> Q8Row<'a> {
        let row = self.slice(index, 1);
        Q8Row {
            codes: row.codes,
            scales: row.scales,
            sums: row.sums,
            low_sums: row.low_sums,
            high_sums: row.high_sums,
        }
    }
}

/// Memory for [`Q8Rows`]: grows, and is reused from step to step.
#[derive(Debug, Default)]
pub struct Q8Buffer {
    codes: Vec<i8>,
    /// Scales, sums, low sums, high sums of all rows, one after the other.
    floats: Vec<f32>,
    columns: usize,
}

impl Q8Buffer {
    /// Bytes that `rows` rows of `columns` take.
    pub fn bytes(rows: usize, columns: usize) -> usize {
        rows * (columns + 4 * size_of::<f32>() * padded_blocks(columns))
    }

    /// Makes room for `rows` rows of `columns` and lends it to be filled, by several threads if
    /// it is split. Allocates only to grow.
    ///
    /// # Panics
    /// If `columns` is not a positive multiple of 32.
    pub fn reset(&mut self, rows: usize, columns: usize) -> Q8RowsMut<'_> {
        assert!(
            columns > 0 && columns.is_multiple_of(BLOCK),
            "rows of {columns} are not whole blocks of {BLOCK}"
        );
        let floats = rows * padded_blocks(columns);
        self.columns = columns;
        self.codes.resize(rows * columns, 0);
        self.floats.clear(); // what pads the rows must be zero
        self.floats.resize(4 * floats, 0.0);
        let (scales, sums) = self.floats.split_at_mut(floats);
        let (sums, halves) = sums.split_at_mut(floats);
        let (low_sums, high_sums) = halves.split_at_mut(floats);
        Q8RowsMut { codes: &mut self.codes, scales, sums, low_sums, high_sums, columns }
    }

    /// Bytes that it holds, in use or not.
    #[cfg(test)]
    pub fn allocated(&self) -> usize {
        self.codes.capacity() + self.floats.capacity() * size_of::<f32>()
    }

    /// The rows.
    pub fn view(&self) -> Q8Rows<'_> {
        let columns = self.columns.max(1);
        let (totals, halves) = self.floats.split_at(self.floats.len() / 2);
        let (scales, sums) = totals.split_at(totals.len() / 2);
        let (low_sums, high_sums) = halves.split_at(halves.len() / 2);
        Q8Rows { codes: &self.codes, scales, sums, low_sums, high_sums, columns }
    }
}

/// Rows to be written, exclusively borrowed.
#[derive(Debug)]
pub struct Q8RowsMut<'a> {
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [f32],
    low_sums: &'a mut [f32],
    high_sums: &'a mut [f32],
    columns: usize,
}

impl<'a> Q8RowsMut<'a> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.codes.len() / self.columns
    }

    /// The first `rows` rows, and the rest.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        let blocks = rows * padded_blocks(self.columns);
        let (codes, codes_rest) = self.codes.split_at_mut(rows * self.columns);
        let (scales, scales_rest) = self.scales.split_at_mut(blocks);
        let (sums, sums_rest) = self.sums.split_at_mut(blocks);
        let (low_sums, low_rest) = self.low_sums.split_at_mut(blocks);
        let (high_sums, high_rest) = self.high_sums.split_at_mut(blocks);
        let columns = self.columns;
        (
            Self { codes, scales, sums, low_sums, high_sums, columns },
            Self {
                codes: codes_rest,
                scales: scales_rest,
                sums: sums_rest,
                low_sums: low_rest,
                high_sums: high_rest,
                columns,
            },
        )
    }

    /// Blocks of `rows` rows; the last may have fewer.
    ///
    /// # Panics
    /// If `rows` is zero.
    pub fn chunks(self, rows: usize) -> impl Iterator<Item = Q8RowsMut<'a>> {
        assert!(rows > 0, "chunks need rows");
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let left = rest.take()?;
            if left.len() == 0 {
                return None;
            }
            let (chunk, right) = {
                let rows = rows.min(left.len());
                left.split_at(rows)
            };
            rest = Some(right);
            Some(chunk)
        })
    }

    /// Fills the rows.
    ///
    /// # Panics
    /// If `rows` has another shape.
    pub fn quantize(self, kernels: &Kernels, rows: Rows<'_>) {
        assert_eq!((rows.len(), rows.width()), (self.len(), self.columns), "rows of another shape");
        let blocks = padded_blocks(self.columns);
        let halves =
            self.low_sums.chunks_exact_mut(blocks).zip(self.high_sums.chunks_exact_mut(blocks));
        let sums = self.sums.chunks_exact_mut(blocks).zip(halves);
        let outs = self
            .codes
            .chunks_exact_mut(self.columns)
            .zip(self.scales.chunks_exact_mut(blocks))
            .zip(sums);
        for (values, ((codes, scales), (sums, (low_sums, high_sums)))) in rows.iter().zip(outs) {
            kernels.quantize_row(values, Q8RowMut { codes, scales, sums, low_sums, high_sums });
        }
    }
}
