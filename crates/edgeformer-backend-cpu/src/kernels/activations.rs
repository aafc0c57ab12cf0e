use edgeformer_core::Rows;

use super::Q8Rows;

/// Rows of activations as the weights' format wants them.
#[derive(Debug, Clone, Copy)]
pub enum Activations<'a> {
    /// For float formats.
    F32(Rows<'a>),
    /// For quantized formats.
    Q8(Q8Rows<'a>),
}

impl Activations<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(rows) => rows.len(),
            Self::Q8(rows) => rows.len(),
        }
    }

    /// Columns of a row.
    pub fn columns(&self) -> usize {
        match self {
            Self::F32(rows) => rows.width(),
            Self::Q8(rows) => rows.columns(),
        }
    }
}
