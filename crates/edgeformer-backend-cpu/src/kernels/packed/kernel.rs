use edgeformer_core::Format;

use super::layout::{PANEL_ROWS, PanelLayout};
use crate::kernels::matmul::MatmulFn;
use crate::kernels::{Activations, ColumnsMut};

/// The product of panels with activation rows, for one format and width. Looked up once a matrix.
#[derive(Clone, Copy)]
pub struct PackedKernel {
    layout: PanelLayout,
    function: MatmulFn,
}

impl PackedKernel {
    /// A kernel of the table that the caller has, which proves that the machine can run it.
    pub(in crate::kernels) fn new(layout: PanelLayout, function: MatmulFn) -> Self {
        Self { layout, function }
    }

    /// How its panels are laid out.
    pub fn layout(&self) -> &PanelLayout {
        &self.layout
    }

    /// `out[t][r]` = row `r` of the panels times activation row `t`. `panels` are as many as the
    /// columns of `out` need; activations are as many rows as `out` has.
    ///
    /// # Panics
    /// If the shapes differ, or the activations are not what the format wants
    /// ([`Format::activation`]).
    pub fn run(&self, panels: &[u8], activations: &Activations<'_>, out: &mut ColumnsMut<'_>) {
        let columns = self.layout.columns();
        let count = out.columns().div_ceil(PANEL_ROWS);
        assert_eq!(panels.len(), count * self.layout.panel_bytes(), "bytes of the panels");
        assert_eq!(activations.columns(), columns, "columns of the activations");
        assert_eq!(activations.len(), out.rows(), "rows of the activations");
        match (self.function, activations) {
            // SAFETY: kernels come from tables, tables from an `Isa` that this machine has; the
            // lengths were checked above, and the layout exists for whole blocks alone.
            (MatmulFn::Float(function), Activations::F32(rows)) => unsafe {
                function(panels, columns, *rows, out);
            },
            // SAFETY: as above.
            (MatmulFn::Quantized(function), Activations::Q8(rows)) => unsafe {
                function(panels, columns, *rows, out);
            },
            _ => panic!("{} wants {:?} activations", self.format(), self.format().activation()),
        }
    }

    fn format(&self) -> Format {
        self.layout.format()
    }
}

impl std::fmt::Debug for PackedKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedKernel({})", self.format())
    }
}
