//! Columns cut apart and put side by side.

use edgeformer_core::graph::Value;

use super::run::Executor;

impl Executor<'_> {
    /// Cuts each of `groups` equal parts of the columns into pieces of `widths`.
    pub(super) fn split(
        &mut self,
        groups: usize,
        widths: &[usize],
        input: Value,
        outputs: &[Value],
    ) {
        let group: usize = widths.iter().sum();
        let mut start = 0;
        for (&output, &width) in outputs.iter().zip(widths) {
            let mut lent = self.memory.take(output);
            let rows = self.memory.read(input);
            let pieces = rows.data().chunks_exact(group).map(|part| &part[start..start + width]);
            for (out, piece) in lent.data().chunks_exact_mut(width).zip(pieces) {
                out.copy_from_slice(piece);
            }
            debug_assert_eq!(rows.width(), groups * group);
            self.memory.put_back(output, lent);
            start += width;
        }
    }

    pub(super) fn concat(&mut self, inputs: &[Value], output: Value) {
        let all = self.memory.width(output);
        let mut lent = self.memory.take(output);
        let mut start = 0;
        for &input in inputs {
            let rows = self.memory.read(input);
            for (out, row) in lent.data().chunks_exact_mut(all).zip(rows.iter()) {
                out[start..start + rows.width()].copy_from_slice(row);
            }
            start += rows.width();
        }
        self.memory.put_back(output, lent);
    }
}
