//! Query rows cut into tiles, output columns cut into blocks of heads.

use std::ops::Range;

use edgeformer_core::graph::RowKind;
use edgeformer_core::{Rows, RowsMut};

use super::rows::StepRows;
use crate::kernels::ColumnsMut;

/// Neighbouring query rows of one span.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryTile {
    pub span: usize,
    pub rows: usize,
    /// The first of them, as a row of the full value.
    pub full_row: usize,
    /// Its position.
    pub position: usize,
}

/// Where the rows of a tile go in the output.
pub(super) enum Places<'a> {
    /// The output has the tile's rows and no others.
    InOrder,
    /// The output has every row of the step.
    All,
    /// The output has the wanted rows: these, ascending.
    Wanted(&'a [usize]),
}

impl<'a> Places<'a> {
    /// Of an output that has all rows of the step, or the wanted ones.
    pub fn of(rows: &'a StepRows, compact: bool) -> Self {
        if compact { Self::Wanted(rows.wanted()) } else { Self::All }
    }

    /// The output row for row `row` of a tile, if it is there.
    pub fn row(&self, tile: &QueryTile, row: usize) -> Option<usize> {
        match self {
            Self::InOrder => Some(row),
            Self::All => Some(tile.full_row + row),
            Self::Wanted(wanted) => wanted.binary_search(&(tile.full_row + row)).ok(),
        }
    }
}

/// Cuts the output rows of an attention into tiles of at most `size`, in order.
pub(super) fn query_tiles(
    rows: &StepRows,
    kind: RowKind,
    compact: bool,
    size: usize,
) -> impl Iterator<Item = QueryTile> + Send {
    (0..rows.spans().len()).flat_map(move |span| span_tiles(rows, kind, compact, span, size))
}

/// The tiles of one span.
pub(super) fn span_tiles(
    rows: &StepRows,
    kind: RowKind,
    compact: bool,
    span: usize,
    size: usize,
) -> impl Iterator<Item = QueryTile> + Send {
    // What is wanted of a span is its last row or all: neighbours either way.
    let own = if compact { rows.spans()[span].wanted.clone() } else { rows.range(kind, span) };
    own.clone().step_by(size).map(move |row| {
        let full_row = rows.full_row(compact, row);
        let position = rows.position(kind, full_row);
        QueryTile { span, rows: size.min(own.end - row), full_row, position }
    })
}

/// Tiles of the rows of a span at `positions`, wanted or not.
pub(super) fn tiles_of(
    rows: &StepRows,
    kind: RowKind,
    span: usize,
    positions: Range<usize>,
    size: usize,
) -> impl Iterator<Item = QueryTile> {
    let first_row = rows.range(kind, span).start;
    let first_position = rows.spans()[span].first;
    positions.clone().step_by(size).map(move |position| QueryTile {
        span,
        rows: size.min(positions.end - position),
        full_row: first_row + position - first_position,
        position,
    })
}

/// Rows `range` of a matrix.
pub(super) fn slice(rows: Rows<'_>, range: Range<usize>) -> Rows<'_> {
    let width = rows.width();
    Rows::new(&rows.data()[range.start * width..range.end * width], width)
}

/// Blocks of `columns` columns of some rows, with their number.
pub(super) fn head_columns(
    rows: &mut [f32],
    width: usize,
    columns: usize,
) -> impl Iterator<Item = (usize, ColumnsMut<'_>)> {
    let mut rest = Some(ColumnsMut::new(RowsMut::new(rows, width)));
    (0..width / columns).filter_map(move |block| {
        let (own, right) = rest.take()?.split_at(columns);
        rest = Some(right);
        Some((block, own))
    })
}
