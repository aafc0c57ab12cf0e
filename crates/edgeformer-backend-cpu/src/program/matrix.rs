use std::ops::Range;

use edgeformer_core::quant::ActivationFormat;
use edgeformer_core::{Tensor, Weight};

use crate::kernels::{Kernels, MatmulKernel};

/// Rows of one weight tensor, in place as the file holds them, with the kernel that multiplies
/// them.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    tensor: Tensor,
    /// First byte of its first row.
    offset: usize,
    row_bytes: usize,
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Multiplies its rows.
    pub kernel: MatmulKernel,
}

impl Matrix {
    /// A tensor's rows, whatever its outer dimensions.
    pub fn new(kernels: &Kernels, tensor: &Tensor) -> Self {
        let (format, columns) = (tensor.format(), tensor.row_len());
        Self {
            tensor: tensor.clone(),
            offset: 0,
            row_bytes: columns / format.block_len() * format.block_bytes(),
            rows: tensor.elements() / columns.max(1),
            columns,
            kernel: kernels.matmul(format),
        }
    }

    /// Matrices of `rows` rows each, as many as `weight` holds: a stack's members, whether the
    /// file keeps them in one tensor or apart.
    pub fn stack(kernels: &Kernels, weight: &Weight, rows: usize) -> Vec<Self> {
        let parts = weight.parts().iter().map(|tensor| Self::new(kernels, tensor));
        parts
            .flat_map(|part| (0..part.rows / rows).map(move |i| part.slice(i * rows, rows)))
            .collect()
    }

    /// Some of its rows.
    pub fn slice(&self, first: usize, rows: usize) -> Self {
        Self { offset: self.offset + first * self.row_bytes, rows, ..self.clone() }
    }

    /// Bytes of some of its rows.
    pub fn bytes(&self, rows: Range<usize>) -> &[u8] {
        let from = self.offset + rows.start * self.row_bytes;
        &self.tensor.bytes()[from..from + rows.len() * self.row_bytes]
    }

    /// Decodes row `index`.
    pub fn decode_row(&self, index: usize, out: &mut [f32]) {
        let decoded = self.tensor.format().dequantize(self.bytes(index..index + 1), out);
        decoded.expect("a matrix's rows are whole blocks, as wide as it says");
    }

    /// Whether its kernel wants 8-bit activations.
    pub fn wants_q8(&self) -> bool {
        self.kernel.format().activation() == ActivationFormat::Q8
    }
}
