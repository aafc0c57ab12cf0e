use std::ops::Range;

use edgeformer_core::quant::ActivationFormat;
use edgeformer_core::{Tensor, Weight};

use super::matrix::Matrix;
use super::panels::{PanelMatrix, Panels};
use crate::kernels::{Activations, ColumnsMut, Kernels, PANEL_ROWS, decode_row};

/// Rows of one weight tensor, as they are multiplied.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// In place, as the file holds them.
    Rows(Matrix),
    /// In panels.
    Panels(PanelMatrix),
}

impl Part {
    /// A tensor's rows, whatever its outer dimensions.
    pub fn new(kernels: &Kernels, panels: &Panels, tensor: &Tensor) -> Self {
        match panels.matrices(tensor).as_deref() {
            Some([matrix]) => Self::Panels(matrix.clone()),
            _ => Self::Rows(Matrix::new(kernels, tensor)),
        }
    }

    /// Matrices of `rows` rows each, as many as `weight` holds: a stack's members, whether the
    /// file keeps them in one tensor or apart.
    pub fn stack(kernels: &Kernels, panels: &Panels, weight: &Weight, rows: usize) -> Vec<Self> {
        let parts = weight.parts().iter().flat_map(|tensor| match panels.matrices(tensor) {
            Some(matrices) => matrices.into_iter().map(Self::Panels).collect(),
            None => {
                let whole = Weight::whole(tensor.clone());
                let rows = Matrix::stack(kernels, &whole, rows);
                rows.into_iter().map(Self::Rows).collect::<Vec<_>>()
            }
        });
        parts.collect()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Rows(matrix) => matrix.rows,
            Self::Panels(matrix) => matrix.rows,
        }
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        match self {
            Self::Rows(matrix) => matrix.columns,
            Self::Panels(matrix) => matrix.kernel.layout().columns(),
        }
    }

    /// Whether it is multiplied with 8-bit activations.
    pub fn wants_q8(&self) -> bool {
        match self {
            Self::Rows(matrix) => matrix.wants_q8(),
            Self::Panels(matrix) => {
                matrix.kernel.layout().format().activation() == ActivationFormat::Q8
            }
        }
    }

    /// Multiplies rows `rows`, which begin at a multiple of sixteen, with activations.
    pub fn multiply(
        &self,
        rows: Range<usize>,
        activations: &Activations<'_>,
        out: &mut ColumnsMut<'_>,
    ) {
        match self {
            Self::Rows(matrix) => {
                matrix.kernel.run(matrix.bytes(rows), matrix.columns, activations, out);
            }
            Self::Panels(matrix) => matrix.kernel.run(matrix.panels(rows), activations, out),
        }
    }

    /// Decodes row `index`.
    pub fn decode_row(&self, index: usize, out: &mut [f32]) {
        match self {
            Self::Rows(matrix) => matrix.decode_row(index, out),
            Self::Panels(matrix) => {
                let first = index / PANEL_ROWS * PANEL_ROWS;
                let panel = matrix.panels(first..matrix.rows.min(first + PANEL_ROWS));
                decode_row(matrix.kernel.layout(), panel, index - first, out);
            }
        }
    }
}

/// Rows looked up one by one: embeddings, learned positions.
#[derive(Debug)]
pub(crate) struct Table {
    parts: Vec<Part>,
    /// Rows in all.
    pub rows: usize,
}

impl Table {
    pub fn new(kernels: &Kernels, panels: &Panels, weight: &Weight) -> Self {
        let parts: Vec<_> =
            weight.parts().iter().map(|tensor| Part::new(kernels, panels, tensor)).collect();
        Self { rows: parts.iter().map(Part::rows).sum(), parts }
    }

    /// Decodes row `index`, which is below `rows`.
    pub fn decode_row(&self, mut index: usize, out: &mut [f32]) {
        for part in &self.parts {
            if index < part.rows() {
                return part.decode_row(index, out);
            }
            index -= part.rows();
        }
        panic!("a row beyond the table");
    }
}
