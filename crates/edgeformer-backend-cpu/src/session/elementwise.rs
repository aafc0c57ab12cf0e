//! Ops on elements and rows.

use edgeformer_core::graph::{Activation, AdapterScale, Value};

use super::run::Executor;

/// Elements of a cheap op that one thread does faster than it can wake another.
pub(super) const WORTH_SHARING: usize = 1 << 15;
/// Elements that a thread takes at a time.
pub(super) const CHUNK: usize = 1 << 13;

impl Executor<'_> {
    /// Changes a value in chunks of whole rows.
    pub(super) fn change_rows(&mut self, value: Value, change: impl Fn(&mut [f32]) + Sync) {
        let width = self.memory.width(value);
        let mut lent = self.memory.take(value);
        let data = lent.data();
        let chunk = (CHUNK / width).max(1) * width;
        let worthwhile = data.len() >= WORTH_SHARING;
        self.pool.for_each_if(worthwhile, data.chunks_mut(chunk), |_, part| change(part));
        self.memory.put_back(value, lent);
    }

    pub(super) fn activation(&mut self, activation: Activation, value: Value) {
        let kernels = self.kernels;
        self.change_rows(value, |part| kernels.activate(activation, part));
    }

    pub(super) fn scale(&mut self, factor: f32, value: Value) {
        let kernels = self.kernels;
        self.change_rows(value, |part| kernels.scale(part, factor));
    }

    /// Multiplies the rows of each sequence with its own scale of an adapter. They are narrow: one
    /// thread does it.
    pub(super) fn adapter_scale(&mut self, scale: &AdapterScale, value: Value) {
        let kind = self.program.model.graph.values[value.index()].rows;
        let compact = self.memory.is_compact(value);
        let width = self.memory.width(value);
        let mut lent = self.memory.take(value);
        for (index, span) in self.rows.spans().iter().enumerate() {
            let rows = match compact {
                true => span.wanted.clone(),
                false => self.rows.range(kind, index),
            };
            let factor = scale.of(self.cache.pages.adapters(span.sequence));
            if factor != 1.0 {
                let values = &mut lent.data()[rows.start * width..rows.end * width];
                self.kernels.scale(values, factor);
            }
        }
        self.memory.put_back(value, lent);
    }

    pub(super) fn soft_cap(&mut self, cap: f32, value: Value) {
        let kernels = self.kernels;
        self.change_rows(value, |part| kernels.soft_cap(part, cap));
    }

    pub(super) fn add_row(&mut self, row: &[f32], value: Value) {
        let kernels = self.kernels;
        self.change_rows(value, |part| {
            part.chunks_exact_mut(row.len()).for_each(|values| kernels.add(values, row));
        });
    }

    /// Adds `other` to `value`, or multiplies with it.
    pub(super) fn combine(&mut self, add: bool, other: Value, value: Value) {
        let kernels = self.kernels;
        let mut lent = self.memory.take(value);
        let data = lent.data();
        let other = self.memory.read(other).data();
        let worthwhile = data.len() >= WORTH_SHARING;
        let parts = data.chunks_mut(CHUNK).zip(other.chunks(CHUNK));
        self.pool.for_each_if(worthwhile, parts, |_, (part, other)| {
            if add { kernels.add(part, other) } else { kernels.multiply(part, other) }
        });
        self.memory.put_back(value, lent);
    }
}
