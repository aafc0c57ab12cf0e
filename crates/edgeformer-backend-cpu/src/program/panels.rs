//! Weights in panels: the memory that holds them.
//!
//! All panels lie in one block of memory. Either it is filled here, in huge pages where the system
//! grants them: tensor by tensor, group of panels by group of panels, and the pages of the model's
//! file are given back at once, so that the model is never in memory twice. Or it is a file that
//! was packed before, mapped.

use std::ops::Range;

use bytes::Bytes;
use edgeformer_core::{Error, Result, Tensor, Weights};
use memmap2::MmapMut;

use super::pack_plan::{PackPlan, PackedTensor, pack_groups};
use crate::kernels::{PANEL_ROWS, PackedKernel, PanelLayout};
use crate::pool::Pool;

/// The panels of a program.
#[derive(Debug)]
pub(crate) struct Panels {
    plan: PackPlan,
    memory: Bytes,
}

impl Panels {
    /// Packs what is planned.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn pack(plan: PackPlan, weights: &Weights, pool: &Pool) -> Result<Self> {
        let bytes = plan.bytes();
        if bytes == 0 {
            return Ok(Self { plan, memory: Bytes::new() });
        }
        let refused = |error: std::io::Error| Error::Backend {
            backend: "cpu".into(),
            problem: format!(
                "no memory for {bytes} bytes of packed weights ({error}): use the weights in \
                 place (`--no-repack`), or a smaller model"
            ),
        };
        let mut memory = MmapMut::map_anon(bytes).map_err(refused)?;
        // A hint: without huge pages everything works, and reads a little slower.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let groups = plan.tensors().iter().flat_map(PackedTensor::groups);
        pack_groups(groups, &mut memory, weights, pool);
        let memory = memory.make_read_only().map_err(refused)?;
        Ok(Self { plan, memory: Bytes::from_owner(memory) })
    }

    /// Panels that were packed before, as `plan` says.
    ///
    /// # Panics
    /// If they are not as many bytes.
    pub fn packed(plan: PackPlan, memory: Bytes) -> Self {
        assert_eq!(memory.len(), plan.bytes(), "bytes of the panels");
        Self { plan, memory }
    }

    /// The matrices of a tensor, if it is packed: one, or as many as it is a stack of.
    pub fn matrices(&self, tensor: &Tensor) -> Option<Vec<PanelMatrix>> {
        let packed = self.plan.find(tensor)?;
        let matrix = |index: usize| {
            let offset = packed.offset + index * packed.matrix_bytes();
            let memory = self.memory.slice(offset..offset + packed.matrix_bytes());
            PanelMatrix { memory, kernel: packed.kernel, rows: packed.rows }
        };
        Some((0..packed.matrices()).map(matrix).collect())
    }
}

/// A matrix in panels.
#[derive(Debug, Clone)]
pub(crate) struct PanelMatrix {
    memory: Bytes,
    pub kernel: PackedKernel,
    /// Rows.
    pub rows: usize,
}

impl PanelMatrix {
    /// The panels of some rows, the first of which begins one.
    pub fn panels(&self, rows: Range<usize>) -> &[u8] {
        debug_assert!(rows.start.is_multiple_of(PANEL_ROWS) && rows.end <= self.rows);
        let layout: &PanelLayout = self.kernel.layout();
        let from = rows.start / PANEL_ROWS * layout.panel_bytes();
        &self.memory[from..from + layout.bytes(rows.len())]
    }
}
