//! What queries see where a session shows them less than the model does.

use edgeformer_core::graph::{CacheSlot, Graph, Op, Rope, RopeLayout, Value};
use edgeformer_core::{Visibility, Window};

/// What the queries of an attention op see.
pub(super) struct Sight<'a> {
    visibility: &'a Visibility,
    slot: Option<CacheSlot>,
    /// Of the model.
    window: Option<usize>,
    /// What turned the queries by their positions.
    rope: Option<&'a Rope>,
    context: usize,
}

/// The positions that a query sees.
pub(super) struct Seen {
    /// `0..sinks`, by a query that is turned back by `gap` positions.
    pub sinks: usize,
    pub gap: usize,
    /// `from` up to its own.
    pub from: usize,
}

impl<'a> Sight<'a> {
    pub fn new(
        graph: &'a Graph,
        visibility: &'a Visibility,
        slot: Option<CacheSlot>,
        window: Option<usize>,
        queries: Value,
        context: usize,
    ) -> Self {
        let maker = graph.nodes.iter().find(|node| node.outputs.contains(&queries));
        let rope = maker.and_then(|node| match &node.op {
            Op::Rope(rope) => Some(rope),
            _ => None,
        });
        Self { visibility, slot, window, rope, context }
    }

    /// What the query of a head at `position` sees.
    pub fn seen(&self, head: usize, position: usize) -> Seen {
        let asked = self.slot.and_then(|slot| match &self.visibility.window {
            Window::Tokens(tokens) => Some(*tokens),
            Window::Heads(table) => table.slots[slot.0 as usize][head],
            Window::Model | Window::Adaptive { .. } => None,
        });
        let narrowest = [self.window, asked].into_iter().flatten().min();
        let from = narrowest.map_or(0, |window| (position + 1).saturating_sub(window));
        let sinks = if self.slot.is_some() { self.visibility.sinks.min(from) } else { 0 };
        Seen { sinks, gap: from - sinks, from }
    }

    /// A query, turned back by `gap` positions.
    pub fn turn_back(&self, query: &[f64], gap: usize) -> Vec<f64> {
        let mut query = query.to_vec();
        let Some(rope) = self.rope.filter(|_| gap > 0) else { return query };
        for (pair, frequency) in rope.frequencies(self.context).into_iter().enumerate() {
            let (a, b) = match rope.layout {
                RopeLayout::Halves => (pair, pair + rope.dims / 2),
                RopeLayout::Interleaved => (2 * pair, 2 * pair + 1),
            };
            let (sin, cos) = (-(gap as f64) * f64::from(frequency)).sin_cos();
            let (x, y) = (query[a], query[b]);
            (query[a], query[b]) = (x * cos - y * sin, y * cos + x * sin);
        }
        query
    }
}
