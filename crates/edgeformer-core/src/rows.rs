/// A matrix of `f32` rows, borrowed: row-major, `width` columns, no padding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows<'a> {
    data: &'a [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// Views `data` as rows of `width` columns.
    ///
    /// # Panics
    /// If `width` is zero or does not divide the length of `data`.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { data, width }
    }

    /// Columns of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.width..][..self.width]
    }

    /// The rows one after the other.
    pub fn iter(&self) -> std::slice::ChunksExact<'a, f32> {
        self.data.chunks_exact(self.width)
    }

    /// All values, row after row.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// A matrix of `f32` rows, borrowed for writing.
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    width: usize,
}

impl<'a> RowsMut<'a> {
    /// Views `data` as rows of `width` columns.
    ///
    /// # Panics
    /// If `width` is zero or does not divide the length of `data`.
    pub fn new(data: &'a mut [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Self { data, width }
    }

    /// Columns of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Row `index`.
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        &mut self.data[index * self.width..][..self.width]
    }

    /// All values, row after row.
    pub fn data(&mut self) -> &mut [f32] {
        self.data
    }

    /// All values, row after row, for as long as they are borrowed.
    pub fn into_data(self) -> &'a mut [f32] {
        self.data
    }

    /// The same rows, for reading.
    pub fn as_rows(&self) -> Rows<'_> {
        Rows { data: self.data, width: self.width }
    }
}
