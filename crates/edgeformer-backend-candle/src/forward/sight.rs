use candle_core::{DType, Device, Tensor};
use edgeformer_core::graph::{CacheSlot, Op};
use edgeformer_core::{Graph, Visibility, Window};

use crate::error::Result;

/// How far back the heads of every caching attention see.
pub(crate) struct Windows {
    /// By slot: one window for all heads, or one a head. `None` sees everything.
    slots: Vec<Vec<Option<usize>>>,
}

impl Windows {
    /// The model's windows, and a session's where they are narrower.
    pub fn new(graph: &Graph, visibility: &Visibility) -> Self {
        let mut slots = vec![vec![None]; graph.cache.slots.len()];
        for node in &graph.nodes {
            let (slot, window) = match &node.op {
                Op::Attention(attention) => (attention.slot, attention.window),
                Op::LatentAttention(attention) => (Some(attention.slot), None),
                _ => continue,
            };
            let Some(CacheSlot(slot)) = slot else { continue };
            let asked = match &visibility.window {
                Window::Tokens(tokens) => vec![Some(*tokens)],
                Window::Heads(table) => table.slots[slot as usize].clone(),
                Window::Model | Window::Adaptive { .. } => vec![None],
            };
            let narrowest = |asked: Option<usize>| [asked, window].into_iter().flatten().min();
            slots[slot as usize] = asked.into_iter().map(narrowest).collect();
        }
        Self { slots }
    }

    /// What queries of a slot see.
    pub fn of(&self, slot: CacheSlot) -> Sight<'_> {
        Sight { windows: &self.slots[slot.0 as usize] }
    }
}

/// What the queries of one attention see: their own position and earlier ones, within windows.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    windows: &'a [Option<usize>],
}

impl Sight<'_> {
    /// The first position that any head of a query at `position` sees.
    pub fn first(&self, position: usize) -> usize {
        self.windows.iter().map(|window| from(*window, position)).min().unwrap_or(0)
    }

    /// What is added to scores of `count` queries from position `first` on and of the keys
    /// `keys`, `[count, keys]` or `[heads, count, keys]`: zero or minus infinity. `None` if every
    /// query sees all of them.
    pub fn mask(
        &self,
        (first, count): (usize, usize),
        keys: std::ops::Range<usize>,
        dtype: DType,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let last = first + count - 1;
        let sees_all = |window: &Option<usize>| from(*window, last) <= keys.start;
        if count == 1 && last + 1 == keys.end && self.windows.iter().all(sees_all) {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(self.windows.len() * count * keys.len());
        for &window in self.windows {
            for position in first..=last {
                let from = from(window, position);
                let seen = |key| if key < from || key > position { f32::NEG_INFINITY } else { 0.0 };
                values.extend(keys.clone().map(seen));
            }
        }
        let mask = match self.windows.len() {
            1 => Tensor::from_vec(values, (count, keys.len()), device)?,
            heads => Tensor::from_vec(values, (heads, count, keys.len()), device)?,
        };
        Ok(Some(mask.to_dtype(dtype)?))
    }
}

/// A window has exactly as many positions as it says, the query's own included.
fn from(window: Option<usize>, position: usize) -> usize {
    window.map_or(0, |window| (position + 1).saturating_sub(window))
}
