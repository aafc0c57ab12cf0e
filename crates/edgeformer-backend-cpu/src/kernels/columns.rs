use std::marker::PhantomData;

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
// one matrix are disjoint (`split_at`), and `f32` is `Send`.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a matrix into blocks of these widths.
    fn blocks<'a>(data: &'a mut [f32], width: usize, widths: &[usize]) -> Vec<ColumnsMut<'a>> {
        let mut rest = ColumnsMut::new(RowsMut::new(data, width));
        let mut blocks = Vec::new();
        for &width in widths {
            let (block, right) = rest.split_at(width);
            blocks.push(block);
            rest = right;
        }
        blocks
    }

    #[test]
    fn threads_write_disjoint_columns() {
        let mut data = vec![0.0; 3 * 7];
        std::thread::scope(|scope| {
            for (index, mut block) in blocks(&mut data, 7, &[2, 1, 4]).into_iter().enumerate() {
                scope.spawn(move || {
                    for row in 0..block.rows() {
                        block.row_mut(row).fill((10 * row + index) as f32);
                    }
                });
            }
        });
        let expected =
            [0, 10, 20].map(|row| [0, 0, 1, 2, 2, 2, 2].map(|block| (row + block) as f32));
        assert_eq!(data, expected.concat());
    }

    #[test]
    fn blocks_may_be_empty() {
        let mut data = vec![0.0; 2 * 5];
        for (index, mut block) in blocks(&mut data, 5, &[2, 0, 3]).into_iter().enumerate() {
            (0..block.rows()).for_each(|row| block.row_mut(row).fill(index as f32));
        }
        assert_eq!(data, [0., 0., 2., 2., 2., 0., 0., 2., 2., 2.]);
    }

    #[test]
    fn a_matrix_without_rows_has_columns() {
        let widths: Vec<_> = blocks(&mut [], 5, &[2, 3]).iter().map(ColumnsMut::columns).collect();
        assert_eq!(widths, [2, 3]);
    }

    #[test]
    #[should_panic(expected = "row 2 of 2")]
    fn a_row_outside_is_refused() {
        ColumnsMut::new(RowsMut::new(&mut [0.0; 4], 2)).row_mut(2);
    }

    #[test]
    #[should_panic(expected = "column 3 of 2")]
    fn columns_outside_are_refused() {
        ColumnsMut::new(RowsMut::new(&mut [0.0; 4], 2)).split_at(3);
    }
}
