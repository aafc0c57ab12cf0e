//! What is cached: past rows and the run's own become the rows that queries see.

use edgeformer_core::graph::CacheSlot;

use super::builder::{Name, int};
use super::{Layout, Target, Translator};
use crate::onnx::{Attribute, Dim, Domain, Element, Port};

/// Keys or values.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Key,
    Value,
}

impl Side {
    fn names(self, slot: CacheSlot) -> [String; 2] {
        let side = match self {
            Self::Key => "key",
            Self::Value => "value",
        };
        [format!("past_key_values.{}.{side}", slot.0), format!("present.{}.{side}", slot.0)]
    }
}

impl Translator<'_> {
    /// Declares a slot's side as `[batch, heads, tokens, width]` before and behind the run.
    pub(super) fn by_heads(
        &mut self,
        slot: CacheSlot,
        side: Side,
        heads: usize,
        width: usize,
    ) -> [Name; 2] {
        let [past, present] = side.names(slot);
        let (before, behind) = match self.options.target {
            Target::Session => ("capacity", "capacity"),
            Target::File => ("past_sequence_length", "total_sequence_length"),
        };
        let shape =
            |tokens| [self.batch(), Dim::Known(heads), Dim::Named(tokens), Dim::Known(width)];
        let shapes = [shape(before), shape(behind)];
        self.b.input(&past, Element::F32, &shapes[0]);
        self.b.output(&present, Element::F32, &shapes[1]);
        self.slots[slot.0 as usize] = Layout::Heads(heads);
        [past, present]
    }

    /// Caches rows `[batch, tokens, heads * width]` and gives all that are there as
    /// `[batch, heads, total, width]`.
    pub(super) fn cached(
        &mut self,
        rows: &str,
        slot: CacheSlot,
        side: Side,
        heads: usize,
        width: usize,
    ) -> Name {
        match self.options.target {
            Target::Session => self.cached_in_place(rows, slot, side, heads, width),
            Target::File => {
                let rows = self.heads_first(rows, heads, width);
                let [past, present] = self.by_heads(slot, side, heads, width);
                let axis = vec![("axis", Attribute::Int(2))];
                let outputs = vec![present.clone()];
                self.b.named(Domain::Onnx, "Concat", &[&past, &rows], outputs, axis);
                present
            }
        }
    }

    /// Writes the rows into the buffer that past and present share.
    fn cached_in_place(
        &mut self,
        rows: &str,
        slot: CacheSlot,
        side: Side,
        heads: usize,
        width: usize,
    ) -> Name {
        let [past, present] = side.names(slot);
        let columns = heads * width;
        let shape = [Dim::Named("capacity"), Dim::Known(columns)];
        self.b.input(&past, Element::F32, &shape);
        self.b.output(&present, Element::F32, &shape);
        let positions = self.position_ids();
        let places = self.b.once("places".into(), |b| b.reshape(&positions, &[-1, 1]));
        let rows = self.b.reshape(rows, &[-1, columns as i64]);
        let outputs = vec![present.clone()];
        self.b.named(Domain::Onnx, "ScatterND", &[&past, &places, &rows], outputs, vec![]);
        let seen = match self.options.plain {
            true => present,
            false => {
                let (from, total) = (self.b.ints(&[0]), self.total_wide());
                self.b.op("Slice", &[&present, &from, &total, &from], vec![])
            }
        };
        let seen = self.b.reshape(&seen, &[1, -1, columns as i64]);
        self.heads_first(&seen, heads, width)
    }

    /// `[batch, tokens, heads * width]` as `[batch, heads, tokens, width]`.
    pub(super) fn heads_first(&mut self, rows: &str, heads: usize, width: usize) -> Name {
        if heads == 1 {
            let axes = self.b.ints(&[1]);
            return self.b.op("Unsqueeze", &[rows, &axes], vec![]);
        }
        let split = self.b.reshape(rows, &[0, 0, heads as i64, width as i64]);
        self.b.transpose(&split, &[0, 2, 1, 3])
    }

    /// The opposite.
    pub(super) fn heads_last(&mut self, x: &str, columns: usize) -> Name {
        let rows = self.b.transpose(x, &[0, 2, 1, 3]);
        self.b.reshape(&rows, &[0, 0, columns as i64])
    }

    /// What is added to scores `[batch, 1, tokens, total]`: nothing where a query sees a key, minus
    /// infinity elsewhere.
    pub(super) fn causal_mask(&mut self, window: Option<usize>) -> Name {
        let total = self.keys_wide();
        let queries = self.query_places();
        let padding = (self.options.target == Target::File).then(|| self.attention_mask());
        self.b.once(format!("mask {window:?}"), |b| {
            let (zero, one) = (b.index(0), b.index(1));
            let axes = b.ints(&[0]);
            let end = b.op("Squeeze", &[&total, &axes], vec![]);
            let keys = b.op("Range", &[&zero, &end, &one], vec![]);
            let mut seen = b.op("LessOrEqual", &[&keys, &queries], vec![]);
            if let Some(window) = window {
                let window = b.index(window);
                let before = b.op("Sub", &[&queries, &window], vec![]);
                let near = b.op("Greater", &[&keys, &before], vec![]);
                seen = b.op("And", &[&seen, &near], vec![]);
            }
            if let Some(padding) = padding {
                let there = b.op("Cast", &[&padding], vec![("to", int(Element::Bool as usize))]);
                let axes = b.ints(&[1, 2]);
                let there = b.op("Unsqueeze", &[&there, &axes], vec![]);
                seen = b.op("And", &[&seen, &there], vec![]);
            }
            let (nothing, infinity) = (b.float(0.0), b.float(f32::NEG_INFINITY));
            b.op("Where", &[&seen, &nothing, &infinity], vec![])
        })
    }

    /// How many keys there are, `[1]`: with those that are not there yet where attention is over the
    /// whole buffer, whose places lie behind every query's.
    fn keys_wide(&mut self) -> Name {
        let buffers = |port: &&Port| port.shape.first() == Some(&Dim::Named("capacity"));
        let buffer = self.b.graph.inputs.iter().find(buffers).map(|port| port.name.clone());
        match buffer.filter(|_| self.options.plain) {
            Some(buffer) => self.b.once("capacity".into(), |b| {
                let rows = vec![("start", Attribute::Int(0)), ("end", Attribute::Int(1))];
                b.op("Shape", &[&buffer], rows)
            }),
            None => self.total_wide(),
        }
    }

    /// Places of the run's tokens among all, `[batch, 1, tokens, 1]`.
    fn query_places(&mut self) -> Name {
        let positions = self.position_ids();
        if self.options.target == Target::Session {
            return self.b.once("query places".into(), |b| {
                let axes = b.ints(&[1, 3]);
                b.op("Unsqueeze", &[&positions, &axes], vec![])
            });
        }
        // Positions may skip padding; places do not.
        let total = self.total_wide();
        self.b.once("query places".into(), |b| {
            let length = vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
            let tokens = b.op("Shape", &[&positions], length);
            let first = b.op("Sub", &[&total, &tokens], vec![]);
            let axes = b.ints(&[0]);
            let [first, end] = [first, total].map(|x| b.op("Squeeze", &[&x, &axes], vec![]));
            let one = b.index(1);
            let places = b.op("Range", &[&first, &end, &one], vec![]);
            b.reshape(&places, &[1, 1, -1, 1])
        })
    }
}
