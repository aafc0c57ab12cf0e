use edgeformer_core::{Format, Rows};

use super::{Activations, ColumnsMut, Q8Rows};

/// Multiplies rows of float weights with rows of f32 activations.
///
/// # Safety
/// The machine has the table's instruction set; lengths are as [`MatmulKernel::run`] checks them.
pub(super) type FloatMatmul = unsafe fn(&[u8], usize, Rows<'_>, &mut ColumnsMut<'_>);

/// Multiplies rows of quantized weights with rows of 8-bit activations.
///
/// # Safety
/// As for [`FloatMatmul`].
pub(super) type QuantizedMatmul = unsafe fn(&[u8], usize, Q8Rows<'_>, &mut ColumnsMut<'_>);

/// The function behind a [`MatmulKernel`].
#[derive(Clone, Copy)]
pub(super) enum MatmulFn {
    Float(FloatMatmul),
    Quantized(QuantizedMatmul),
}

/// The product of weight rows with activation rows, for one format. Looked up once a matrix.
#[derive(Clone, Copy)]
pub struct MatmulKernel {
    format: Format,
    function: MatmulFn,
}

impl MatmulKernel {
    /// A kernel of the table that the caller has, which proves that the machine can run it.
    pub(super) fn new(format: Format, function: MatmulFn) -> Self {
        Self { format, function }
    }

    /// The format of the weights.
    pub fn format(&self) -> Format {
        self.format
    }

    /// `out[t][r]` = weight row `r` times activation row `t`. `weights` are as many whole rows of
    /// `columns` elements as `out` has columns; activations are as many rows as `out` has.
    ///
    /// # Panics
    /// If the shapes differ, or the activations are not what the format wants
    /// ([`Format::activation`]).
    pub fn run(
        &self,
        weights: &[u8],
        columns: usize,
        activations: &Activations<'_>,
        out: &mut ColumnsMut<'_>,
    ) {
        let row_bytes = columns / self.format.block_len() * self.format.block_bytes();
        assert!(
            columns > 0 && columns.is_multiple_of(self.format.block_len()),
            "rows of {columns} are not whole blocks of {}",
            self.format
        );
        assert_eq!(weights.len(), out.columns() * row_bytes, "bytes of the weight rows");
        assert_eq!(activations.columns(), columns, "columns of the activations");
        assert_eq!(activations.len(), out.rows(), "rows of the activations");
        match (self.function, activations) {
            // SAFETY: kernels come from tables, tables from an `Isa` that this machine has; the
            // lengths were checked above.
            (MatmulFn::Float(function), Activations::F32(rows)) => unsafe {
                function(weights, columns, *rows, out);
            },
            // SAFETY: as above.
            (MatmulFn::Quantized(function), Activations::Q8(rows)) => unsafe {
                function(weights, columns, *rows, out);
            },
            _ => panic!("{} wants {:?} activations", self.format, self.format.activation()),
        }
    }
}

impl std::fmt::Debug for MatmulKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MatmulKernel({})", self.format)
    }
}
