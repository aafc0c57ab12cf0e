use edgeformer_core::Weight;

use super::panels::Panels;
use super::part::Part;
use crate::kernels::{Kernels, PANEL_ROWS};

/// Blocks of rows that a thread should find in a large matrix: enough to even out threads of
/// different speed.
const TILES_PER_THREAD: usize = 8;
/// A tile does not cut a panel.
const TILE_STEP: usize = PANEL_ROWS;
/// Rows of a tile at most: its weights stay in the second-level cache while tokens go by.
const TILE_LIMIT: usize = 256;

/// `x Wᵀ + b`, ready to run.
#[derive(Debug)]
pub(crate) struct Linear {
    /// Row blocks of the weight, each in a format of its own.
    pub parts: Vec<Part>,
    pub bias: Option<Vec<f32>>,
    /// How the rows of `parts` are shared out, in order.
    pub tiles: Vec<Tile>,
    /// Columns of the input.
    pub columns: usize,
    /// Columns of the output.
    pub out: usize,
}

/// Neighbouring rows of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub part: usize,
    /// First row within the part.
    pub first: usize,
    pub rows: usize,
    /// First column of the output.
    pub column: usize,
}

impl Linear {
    pub fn new(
        kernels: &Kernels,
        panels: &Panels,
        weight: &Weight,
        bias: Option<Vec<f32>>,
        threads: usize,
    ) -> Self {
        let parts = weight.parts().iter().map(|tensor| Part::new(kernels, panels, tensor));
        Self::of(parts.collect(), bias, threads)
    }

    /// Of matrices one below the other; there is at least one.
    pub fn of(parts: Vec<Part>, bias: Option<Vec<f32>>, threads: usize) -> Self {
        let out = parts.iter().map(Part::rows).sum();
        let columns = parts.first().map_or(0, Part::columns);
        let tiles = tiles(parts.iter().map(Part::rows), tile_rows(out, threads));
        Self { parts, bias, tiles, columns, out }
    }

    /// Whether some part wants 8-bit activations.
    pub fn wants_q8(&self) -> bool {
        self.parts.iter().any(Part::wants_q8)
    }
}

fn tile_rows(rows: usize, threads: usize) -> usize {
    let even = rows.div_ceil(threads * TILES_PER_THREAD);
    even.next_multiple_of(TILE_STEP).min(TILE_LIMIT)
}

fn tiles(parts: impl Iterator<Item = usize>, size: usize) -> Vec<Tile> {
    let mut column = 0;
    let mut tiles = Vec::new();
    for (part, part_rows) in parts.enumerate() {
        for first in (0..part_rows).step_by(size) {
            let rows = size.min(part_rows - first);
            tiles.push(Tile { part, first, rows, column });
            column += rows;
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_row_once() {
        let tiles = tiles([40, 3].into_iter(), 16);
        let covered: Vec<_> =
            tiles.iter().map(|tile| (tile.part, tile.first, tile.rows, tile.column)).collect();
        assert_eq!(covered, [(0, 0, 16, 0), (0, 16, 16, 16), (0, 32, 8, 32), (1, 0, 3, 40)]);
    }

    #[test]
    fn small_matrices_are_not_cut_to_pieces() {
        assert_eq!(tile_rows(10, 2), 16);
        assert_eq!(tile_rows(896, 2), 64);
        assert_eq!(tile_rows(151_936, 2), TILE_LIMIT);
    }
}
