//! Which tensors are packed into panels, and where.

use std::collections::BTreeMap;
use std::fmt::Write;

use edgeformer_core::{Graph, Op, Result, Tensor, Weights};

use super::needs::multiplied;
use super::schedule::Schedule;
use crate::kernels::{Kernels, PANEL_ROWS, PackedKernel, PanelLayout, pack_panel};
use crate::pool::Pool;

/// Panels that a thread packs at a time.
const GROUP: usize = 32;

/// A tensor that is packed.
#[derive(Debug, Clone)]
pub(crate) struct PackedTensor {
    name: String,
    tensor: Tensor,
    /// Rows of a matrix, where the tensor is a stack of them: each begins with a new panel.
    pub rows: usize,
    pub kernel: PackedKernel,
    /// First byte of its panels.
    pub offset: usize,
}

impl PackedTensor {
    /// Matrices that it is a stack of.
    pub fn matrices(&self) -> usize {
        self.tensor.elements() / self.layout().columns() / self.rows
    }

    /// Bytes of the panels of a matrix.
    pub fn matrix_bytes(&self) -> usize {
        self.layout().bytes(self.rows)
    }

    /// Bytes of all its panels.
    pub fn bytes(&self) -> usize {
        self.matrices() * self.matrix_bytes()
    }

    /// The graph's name for it, `#` and its place where a weight has several tensors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes as the model's file holds them.
    pub fn source(&self) -> &[u8] {
        self.tensor.bytes()
    }

    fn layout(&self) -> &PanelLayout {
        self.kernel.layout()
    }

    /// Rows that a thread packs at a time, one group after the other.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let layout = self.layout();
        let matrices = self.source().chunks_exact(self.rows * layout.row_bytes());
        matrices.flat_map(move |rows| {
            let groups = rows.chunks(GROUP * PANEL_ROWS * layout.row_bytes());
            groups.map(move |rows| Group { layout, rows })
        })
    }
}

/// Rows that become panels.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    layout: &'a PanelLayout,
    /// As the model's file holds them.
    pub rows: &'a [u8],
}

impl Group<'_> {
    /// Bytes of its panels.
    pub fn bytes(&self) -> usize {
        self.layout.bytes(self.rows.len() / self.layout.row_bytes())
    }

    fn pack(&self, panels: &mut [u8]) {
        let rows_of_panels = self.rows.chunks(PANEL_ROWS * self.layout.row_bytes());
        let panels = panels.chunks_exact_mut(self.layout.panel_bytes());
        for (rows, panel) in rows_of_panels.zip(panels) {
            pack_panel(self.layout, rows, panel);
        }
    }
}

/// Packs groups one behind the other, by all threads, and gives the pages of their rows back.
/// `memory` is zero: what a panel leaves free stays so.
pub(crate) fn pack_groups<'a>(
    groups: impl Iterator<Item = Group<'a>> + Send,
    memory: &mut [u8],
    weights: &Weights,
    pool: &Pool,
) {
    let mut rest = memory;
    let with_memory = groups.map(move |group| {
        let (own, others) = std::mem::take(&mut rest).split_at_mut(group.bytes());
        rest = others;
        (group, own)
    });
    pool.for_each(with_memory, |_, (group, panels)| {
        group.pack(panels);
        weights.release(group.rows);
    });
}

/// Which tensors are packed, and where: from shapes and formats alone.
#[derive(Debug, Default)]
pub(crate) struct PackPlan {
    /// In the order of their panels.
    tensors: Vec<PackedTensor>,
    /// Their places by the address of a tensor's first byte: a tensor that serves twice is packed
    /// once.
    by_address: BTreeMap<usize, usize>,
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
                let parts = weights.get(&info.name)?.parts();
                for (place, tensor) in parts.iter().enumerate() {
                    let rows = tensor.elements() / tensor.row_len().max(1);
                    let rows = if stacked { info.shape[1].min(rows) } else { rows };
                    let name = match parts.len() {
                        1 => info.name.clone(),
                        _ => format!("{}#{place}", info.name),
                    };
                    plan.add(kernels, name, tensor, rows);
                }
            }
        }
        Ok(plan)
    }

    fn add(&mut self, kernels: &Kernels, name: String, tensor: &Tensor, rows: usize) {
        let Some(kernel) = kernels.packed(tensor.format(), tensor.row_len()) else { return };
        let address = tensor.bytes().as_ptr() as usize;
        if self.by_address.contains_key(&address) {
            return;
        }
        let packed =
            PackedTensor { name, tensor: tensor.clone(), rows, kernel, offset: self.bytes };
        self.bytes += packed.bytes();
        self.by_address.insert(address, self.tensors.len());
        self.tensors.push(packed);
    }

    /// Bytes of all panels.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The tensors, in the order of their panels.
    pub fn tensors(&self) -> &[PackedTensor] {
        &self.tensors
    }

    /// Whether a tensor is packed.
    pub fn contains(&self, tensor: &Tensor) -> bool {
        self.find(tensor).is_some()
    }

    /// How a tensor is packed, if it is.
    pub fn find(&self, tensor: &Tensor) -> Option<&PackedTensor> {
        let place = self.by_address.get(&(tensor.bytes().as_ptr() as usize))?;
        self.tensors.get(*place)
    }

    /// The whole plan as text, a line a tensor: two plans are the same if their texts are.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for packed in &self.tensors {
            let PackedTensor { name, rows, offset, .. } = packed;
            let (layout, matrices) = (packed.layout(), packed.matrices());
            let (format, columns, bytes) = (layout.format(), layout.columns(), packed.bytes());
            writeln!(text, "{name:?} {format} {matrices}x{rows}x{columns} at {offset} {bytes}")
                .expect("a String takes everything");
        }
        text
    }
}
