use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

use edgeformer_core::RowsMut;

/// A block of neighbouring columns of a row-major matrix, exclusively borrowed: lets threads
/// write disjoint columns of one matrix.
///
/// Row `r` of the block is the `columns` values from `start + r * stride`.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of its values, like `&mut [f32]`, which is `Send`: blocks of
// one matrix are disjoint (`split_at`, `ColumnBlocks::take`), and `f32` is `Send`.
unsafe impl Send for ColumnsMut<'_> {}

impl<'a> ColumnsMut<'a> {
    /// All columns of a matrix.
    pub fn new(matrix: RowsMut<'a>) -> Self {
        let (rows, columns) = (matrix.len(), matrix.width());
        let start = matrix.into_data().as_mut_ptr();
        Self { start, stride: columns, rows, columns, matrix: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The block's part of row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: by construction, `columns` values from `start + row * stride` lie within the
        // borrowed matrix for every `row < rows` and belong to this block alone; they are
        // initialised. The result borrows `self` exclusively, so no two such slices coexist.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.columns) }
    }

    /// Sets one value.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn set(&mut self, row: usize, column: usize, value: f32) {
        self.row_mut(row)[column] = value;
    }

    /// The first `columns` columns, and the rest.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_at(self, columns: usize) -> (Self, Self) {
        assert!(columns <= self.columns, "column {columns} of {}", self.columns);
        // With no row, `start` may point to an empty matrix: then it must not move.
        let offset = if self.rows == 0 { 0 } else { columns };
        // SAFETY: `columns <= self.columns`, and the first row has that many values from `start`:
        // the result is in the matrix or one past its end.
        let rest = unsafe { self.start.add(offset) };
        let right = Self { start: rest, columns: self.columns - columns, ..self };
        let left = Self { columns, ..self };
        (left, right)
    }
}

/// Cuts a matrix into blocks of these many columns, from the left.
///
/// # Panics
/// While iterating, if the widths add up to more than the matrix has.
pub fn split_columns<'a>(
    matrix: RowsMut<'a>,
    widths: &[usize],
) -> impl Iterator<Item = ColumnsMut<'a>> {
    let mut rest = Some(ColumnsMut::new(matrix));
    widths.iter().filter_map(move |&width| {
        let (block, right) = rest.take()?.split_at(width);
        rest = Some(right);
        Some(block)
    })
}

/// Blocks of columns that threads take from one matrix, each block once: a work queue that needs
/// neither lock nor memory.
#[derive(Debug)]
pub struct ColumnBlocks<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    width: usize,
    next: AtomicUsize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: sharing it lets several threads call `take` alone, which hands out every column once
// (the counter is atomic), as a `ColumnsMut` that may be sent.
unsafe impl Sync for ColumnBlocks<'_> {}
// SAFETY: as for `ColumnsMut`.
unsafe impl Send for ColumnBlocks<'_> {}

impl<'a> ColumnBlocks<'a> {
    /// Cuts a matrix into blocks of `width` columns, the last may be narrower.
    ///
    /// # Panics
    /// If `width` is zero.
    pub fn new(matrix: RowsMut<'a>, width: usize) -> Self {
        assert!(width > 0, "blocks need a width");
        let whole = ColumnsMut::new(matrix);
        let (start, rows, columns) = (whole.start, whole.rows, whole.columns);
        Self { start, rows, columns, width, next: AtomicUsize::new(0), matrix: PhantomData }
    }

    /// The next block that nobody has, with the index of its first column.
    pub fn take(&self) -> Option<(usize, ColumnsMut<'a>)> {
        // Blocks are counted, not columns, and nothing is counted past the end: no wrap around.
        let blocks = self.columns.div_ceil(self.width);
        let claim = |next: usize| (next < blocks).then_some(next + 1);
        let block = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).ok()?;
        let first = block * self.width;
        let columns = self.width.min(self.columns - first);
        let offset = if self.rows == 0 { 0 } else { first };
        // SAFETY: `first < self.columns`, which is the length of a row, and there is a row or the
        // pointer does not move.
        let start = unsafe { self.start.add(offset) };
        let (stride, rows) = (self.columns, self.rows);
        Some((first, ColumnsMut { start, stride, rows, columns, matrix: PhantomData }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_write_disjoint_columns() {
        let mut data = vec![0.0; 3 * 7];
        let blocks = ColumnBlocks::new(RowsMut::new(&mut data, 7), 2);
        let work = || {
            while let Some((first, mut block)) = blocks.take() {
                for row in 0..block.rows() {
                    for column in 0..block.columns() {
                        block.set(row, column, (row * 7 + first + column) as f32);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        assert!(blocks.take().is_none());
        assert!(data.iter().enumerate().all(|(index, &value)| value == index as f32), "{data:?}");
    }

    #[test]
    fn blocks_of_any_width_cover_the_matrix() {
        let mut data = vec![0.0; 2 * 5];
        for (index, mut block) in split_columns(RowsMut::new(&mut data, 5), &[2, 0, 3]).enumerate()
        {
            (0..block.rows()).for_each(|row| block.row_mut(row).fill(index as f32));
        }
        assert_eq!(data, [0., 0., 2., 2., 2., 0., 0., 2., 2., 2.]);
    }

    #[test]
    fn a_matrix_without_rows_has_columns() {
        let blocks: Vec<_> = split_columns(RowsMut::new(&mut [], 5), &[2, 3]).collect();
        assert_eq!(blocks.iter().map(ColumnsMut::columns).collect::<Vec<_>>(), [2, 3]);
        assert!(ColumnBlocks::new(RowsMut::new(&mut [], 5), 4).take().is_some());
    }

    #[test]
    #[should_panic(expected = "row 2 of 2")]
    fn a_row_outside_is_refused() {
        ColumnsMut::new(RowsMut::new(&mut [0.0; 4], 2)).row_mut(2);
    }
}
