//! Weights in panels: which are packed, and the memory that holds them.
//!
//! All panels lie in one block of memory, in huge pages where the system grants them. A tensor is
//! packed group of panels by group of panels and its file's pages are given back at once: the
//! model is never in memory twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use edgeformer_core::{Error, Graph, Op, Result, Tensor, Weights};
use memmap2::{Mmap, MmapMut};

use super::needs::multiplied;
use super::schedule::Schedule;
use crate::kernels::{Kernels, PANEL_ROWS, PackedKernel, PanelLayout, pack_panel};
use crate::pool::Pool;

/// Panels that a thread packs at a time.
const GROUP: usize = 32;

/// A tensor that is packed.
#[derive(Debug, Clone)]
pub(crate) struct PackedTensor {
    tensor: Tensor,
    /// Rows of a matrix, where the tensor is a stack of them: each begins with a new panel.
    rows: usize,
    kernel: PackedKernel,
    /// First byte of its panels.
    offset: usize,
}

impl PackedTensor {
    fn matrices(&self) -> usize {
        self.tensor.elements() / self.kernel.layout().columns() / self.rows
    }

    /// Bytes of the panels of a matrix.
    fn matrix_bytes(&self) -> usize {
        self.kernel.layout().bytes(self.rows)
    }
}

/// Which tensors are packed, and where: from shapes and formats alone.
#[derive(Debug, Default)]
pub(crate) struct PackPlan {
    /// By the address of a tensor's first byte: a tensor that serves twice is packed once.
    tensors: BTreeMap<usize, PackedTensor>,
    bytes: usize,
}

impl PackPlan {
    /// Everything that is multiplied with rows of activations and that the table has panels for.
    pub fn new(
        graph: &Graph,
        weights: &Weights,
        schedule: &Schedule,
        kernels: &Kernels,
    ) -> Result<Self> {
        let mut plan = Self::default();
        for node in schedule.nodes(graph) {
            let op = &node.op;
            for id in multiplied(op) {
                let info = graph.weight(id);
                let stacked = matches!(op, Op::Experts(_)) && info.shape.len() == 3;
                for tensor in weights.get(&info.name)?.parts() {
                    let rows = tensor.elements() / tensor.row_len().max(1);
                    let rows = if stacked { info.shape[1].min(rows) } else { rows };
                    plan.add(kernels, tensor, rows);
                }
            }
        }
        Ok(plan)
    }

    fn add(&mut self, kernels: &Kernels, tensor: &Tensor, rows: usize) {
        let Some(kernel) = kernels.packed(tensor.format(), tensor.row_len()) else { return };
        let address = tensor.bytes().as_ptr() as usize;
        if self.tensors.contains_key(&address) {
            return;
        }
        let packed = PackedTensor { tensor: tensor.clone(), rows, kernel, offset: self.bytes };
        self.bytes += packed.matrices() * packed.matrix_bytes();
        self.tensors.insert(address, packed);
    }

    /// Bytes of all panels.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Whether a tensor is packed.
    pub fn contains(&self, tensor: &Tensor) -> bool {
        self.find(tensor).is_some()
    }

    fn find(&self, tensor: &Tensor) -> Option<&PackedTensor> {
        self.tensors.get(&(tensor.bytes().as_ptr() as usize))
    }
}

/// The panels of a program.
#[derive(Debug)]
pub(crate) struct Panels {
    plan: PackPlan,
    memory: Option<Arc<Mmap>>,
}

impl Panels {
    /// Packs what is planned.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn pack(plan: PackPlan, weights: &Weights, pool: &Pool) -> Result<Self> {
        if plan.bytes == 0 {
            return Ok(Self { plan, memory: None });
        }
        let refused = |error: std::io::Error| Error::Backend {
            backend: "cpu".into(),
            problem: format!(
                "no memory for {} bytes of packed weights ({error}): use the weights in place \
                 (`--no-repack`), or a smaller model",
                plan.bytes
            ),
        };
        let mut memory = MmapMut::map_anon(plan.bytes).map_err(refused)?;
        // A hint: without huge pages everything works, and reads a little slower.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        fill(&plan, &mut memory, weights, pool);
        let memory = memory.make_read_only().map_err(refused)?;
        Ok(Self { plan, memory: Some(Arc::new(memory)) })
    }

    /// The matrices of a tensor, if it is packed: one, or as many as it is a stack of.
    pub fn matrices(&self, tensor: &Tensor) -> Option<Vec<PanelMatrix>> {
        let packed = self.plan.find(tensor)?;
        let memory = self.memory.as_ref()?;
        let matrix = |index: usize| {
            let offset = packed.offset + index * packed.matrix_bytes();
            PanelMatrix { memory: memory.clone(), offset, kernel: packed.kernel, rows: packed.rows }
        };
        Some((0..packed.matrices()).map(matrix).collect())
    }
}

/// Packs all tensors, by all threads.
fn fill(plan: &PackPlan, memory: &mut [u8], weights: &Weights, pool: &Pool) {
    let mut in_order: Vec<_> = plan.tensors.values().collect();
    in_order.sort_unstable_by_key(|tensor| tensor.offset);
    let matrices = in_order.into_iter().flat_map(|packed| {
        let bytes = packed.rows * packed.kernel.layout().row_bytes();
        packed.tensor.bytes().chunks_exact(bytes).map(move |rows| (packed.kernel.layout(), rows))
    });
    let mut rest = memory;
    let groups = matrices.flat_map(move |(layout, rows)| {
        let rest = &mut rest;
        rows.chunks(GROUP * PANEL_ROWS * layout.row_bytes())
            .map(move |rows| {
                let bytes = layout.bytes(rows.len() / layout.row_bytes());
                let (own, others) = std::mem::take(rest).split_at_mut(bytes);
                *rest = others;
                (layout, rows, own)
            })
            .collect::<Vec<_>>()
    });
    pool.for_each(groups, |_, (layout, rows, panels)| {
        let rows_of_panels = rows.chunks(PANEL_ROWS * layout.row_bytes());
        for (rows, panel) in rows_of_panels.zip(panels.chunks_exact_mut(layout.panel_bytes())) {
            pack_panel(layout, rows, panel);
        }
        weights.release(rows);
    });
}

/// A matrix in panels.
#[derive(Debug, Clone)]
pub(crate) struct PanelMatrix {
    memory: Arc<Mmap>,
    /// First byte of its first panel.
    offset: usize,
    pub kernel: PackedKernel,
    /// Rows.
    pub rows: usize,
}

impl PanelMatrix {
    /// The panels of some rows, the first of which begins one.
    pub fn panels(&self, rows: Range<usize>) -> &[u8] {
        debug_assert!(rows.start.is_multiple_of(PANEL_ROWS) && rows.end <= self.rows);
        let layout: &PanelLayout = self.kernel.layout();
        let from = self.offset + rows.start / PANEL_ROWS * layout.panel_bytes();
        &self.memory[from..from + layout.bytes(rows.len())]
    }
}
