use edgeformer_core::graph::{Rope, RowKind};

/// The part of a [`Rope`] that sines and cosines depend on. Layers share one as a rule, so a step
/// computes them once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RopeTable {
    /// One of the ropes that share it.
    pub rope: Rope,
    /// Whose positions turn.
    pub rows: RowKind,
}

impl RopeTable {
    /// Index of the table for `rope` in `tables`, added if it is new.
    pub fn find(tables: &mut Vec<Self>, rope: &Rope, rows: RowKind) -> usize {
        Self::position(tables, rope, rows).unwrap_or_else(|| {
            tables.push(Self { rope: rope.clone(), rows });
            tables.len() - 1
        })
    }

    /// Index of the table for `rope`, if there is one.
    pub fn position(tables: &[Self], rope: &Rope, rows: RowKind) -> Option<usize> {
        tables.iter().position(|table| {
            (table.rope.dims, table.rope.base, table.rows) == (rope.dims, rope.base, rows)
                && table.rope.scaling == rope.scaling
        })
    }

    /// Elements a row: cosines, then sines.
    pub fn width(&self) -> usize {
        self.rope.dims / 2 * 2
    }
}
