/// Rows of f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    data: Vec<f64>,
    width: usize,
}

impl Matrix {
    pub(super) fn new(data: Vec<f64>, width: usize) -> Self {
        Self { data, width }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.width..][..self.width]
    }

    /// Equal part `part` of `parts` of a row: a head.
    pub(super) fn part(&self, index: usize, part: usize, parts: usize) -> &[f64] {
        let width = self.width / parts;
        &self.row(index)[part * width..][..width]
    }

    /// All values, row after row.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// All rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.width)
    }

    /// A value for each value.
    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(self.data.iter().map(|&value| f(value)).collect(), self.width)
    }

    /// A row for each row.
    pub(super) fn map_rows(&self, mut f: impl FnMut(usize, &[f64]) -> Vec<f64>) -> Self {
        let rows: Vec<Vec<f64>> =
            self.rows().enumerate().map(|(index, row)| f(index, row)).collect();
        let width = rows.first().map_or(self.width, Vec::len);
        Self::new(rows.concat(), width)
    }

    /// These rows and then those of `other`.
    pub(super) fn below(mut self, other: &Self) -> Self {
        self.data.extend_from_slice(&other.data);
        self
    }

    /// `matrix * column`.
    pub(super) fn times(&self, column: &[f64]) -> Vec<f64> {
        self.rows().map(|row| dot(row, column)).collect()
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `exp(x_i) / sum_j exp(x_j)`.
pub(super) fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
