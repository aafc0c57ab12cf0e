//! The rows of a sequence become one.

use edgeformer_core::Rows;
use edgeformer_core::graph::{Pool, Value};

use super::run::Executor;
use crate::kernels::Kernels;

impl Executor<'_> {
    pub(super) fn pool(&mut self, pool: Pool, input: Value, output: Value) {
        let kind = self.program.model.graph.values[input.index()].rows;
        let width = self.memory.width(output);
        let mut lent = self.memory.take(output);
        let rows = self.memory.read(input);
        for (span, out) in lent.data().chunks_exact_mut(width).enumerate() {
            let range = self.rows.range(kind, span);
            let own = &rows.data()[range.start * width..range.end * width];
            pool_rows(self.kernels, pool, Rows::new(own, width), out);
        }
        self.memory.put_back(output, lent);
    }
}

/// Of at least one row.
fn pool_rows(kernels: &Kernels, pool: Pool, rows: Rows<'_>, out: &mut [f32]) {
    let first = if pool == Pool::Last { rows.len() - 1 } else { 0 };
    out.copy_from_slice(rows.row(first));
    match pool {
        Pool::Class | Pool::Last => {}
        Pool::Mean => {
            rows.iter().skip(1).for_each(|row| kernels.add(out, row));
            let count = rows.len() as f32;
            out.iter_mut().for_each(|value| *value /= count);
        }
        Pool::Max => {
            for row in rows.iter().skip(1) {
                out.iter_mut().zip(row).for_each(|(best, value)| *best = best.max(*value));
            }
        }
    }
}
