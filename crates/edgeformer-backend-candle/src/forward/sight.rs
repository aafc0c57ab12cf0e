use candle_core::{DType, Device, Tensor};
use edgeformer_core::graph::{CacheSlot, Op};
use edgeformer_core::{Error, Graph, Visibility, Window};

use crate::error::Result;

/// How far back the heads of every caching attention see.
pub(crate) struct Windows {
    /// By slot: one window for all heads, or one a head. `None` sees everything.
    slots: Vec<Vec<Option<usize>>>,
}

impl Windows {
    /// The model's windows, and a session's where they are narrower.
    ///
    /// # Errors
    /// If the session's are not as many as the model has layers and heads, or one is empty.
    pub fn new(graph: &Graph, visibility: &Visibility) -> Result<Self, Error> {
        check_layers(graph, &visibility.window)?;
        let mut slots = vec![vec![None]; graph.cache.slots.len()];
        for node in &graph.nodes {
            let (slot, heads, window) = match &node.op {
                Op::Attention(attention) => (attention.slot, attention.heads, attention.window),
                Op::LatentAttention(attention) => (Some(attention.slot), attention.heads, None),
                _ => continue,
            };
            let Some(CacheSlot(slot)) = slot else { continue };
            let asked = asked(&visibility.window, slot as usize, heads)?;
            let narrowest = |asked: Option<usize>| [asked, window].into_iter().flatten().min();
            slots[slot as usize] = asked.into_iter().map(narrowest).collect();
        }
        Ok(Self { slots })
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

impl<'a> Sight<'a> {
    /// How far back heads see: one for all, or one a head.
    pub fn windows(&self) -> &'a [Option<usize>] {
        self.windows
    }

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

fn check_layers(graph: &Graph, window: &Window) -> Result<(), Error> {
    let Window::Heads(table) = window else { return Ok(()) };
    let (found, needed) = (table.slots.len(), graph.cache.slots.len());
    match found == needed {
        true => Ok(()),
        false => Err(Error::Config(format!(
            "the table of windows has {found} layers, the model caches {needed}: make it for this model"
        ))),
    }
}

/// What a session asks for the heads of a slot: one window for all, or one a head.
fn asked(window: &Window, slot: usize, heads: usize) -> Result<Vec<Option<usize>>, Error> {
    let asked = match window {
        Window::Tokens(tokens) => vec![Some(*tokens)],
        Window::Heads(table) if table.slots[slot].len() == heads => table.slots[slot].clone(),
        Window::Heads(table) => {
            return Err(Error::Config(format!(
                "the table of windows has {} heads in layer {slot}, the model has {heads}: make it for this model",
                table.slots[slot].len()
            )));
        }
        Window::Model | Window::Adaptive { .. } => vec![None],
    };
    match asked.contains(&Some(0)) {
        true => Err(Error::Config(format!(
            "a window of 0 tokens in layer {slot}: a query sees itself at least"
        ))),
        false => Ok(asked),
    }
}

/// A window has exactly as many positions as it says, the query's own included.
fn from(window: Option<usize>, position: usize) -> usize {
    window.map_or(0, |window| (position + 1).saturating_sub(window))
}
