//! Coordinate descent on the squared error of the products: over codes, the scales and minima of
//! groups, and the halves that groups share.

use nalgebra::{DMatrix, DVector};

use super::moves::{Local, Step};
use super::{LAZY, Row, Section};
use crate::rounding::grid::Grid;

/// Rows with what is left of their values, and with that times the Hessian: half the slope of the
/// error. A column of these matrices is a row of the weights.
struct State {
    rows: Vec<Row>,
    errors: DMatrix<f32>,
    slopes: DMatrix<f32>,
}

/// Of every row the better rounding of two, refined so many rounds, with the row's index.
pub fn better_of(
    grid: &Grid,
    section: &Section,
    values: &DMatrix<f32>,
    plain: Vec<Row>,
    fed: Vec<Row>,
    rounds: usize,
) -> impl Iterator<Item = (usize, Row)> {
    let plain = State::new(grid, section, values, plain);
    let state = State::new(grid, section, values, fed);
    let mut state = State::better(state, &plain);
    let (before, rows) = (state.costs(), state.rows.clone());
    for _ in 0..rounds {
        if !state.refine(grid, section) {
            break;
        }
    }
    // Slopes are kept up to date by many small differences: the last word is with exact ones.
    let state = State::new(grid, section, values, state.rows);
    let after = state.costs();
    let pairs = state.rows.into_iter().zip(rows).enumerate();
    pairs.map(move |(i, (new, old))| (i, if after[i] < before[i] { new } else { old }))
}

impl State {
    fn new(grid: &Grid, section: &Section, values: &DMatrix<f32>, rows: Vec<Row>) -> Self {
        let mut errors = values.clone();
        for (row, mut errors) in rows.iter().zip(errors.column_iter_mut()) {
            for (i, error) in errors.iter_mut().enumerate() {
                let (parts, within) = (&row[i / grid.len], i % grid.len);
                let group = parts.group(within / grid.group);
                *error -= group.scale * f32::from(parts.codes[within]) - group.min;
            }
        }
        let slopes = &section.hessian * &errors;
        Self { rows, errors, slopes }
    }

    /// What every row loses.
    fn costs(&self) -> Vec<f32> {
        self.errors.column_iter().zip(self.slopes.column_iter()).map(|(a, b)| a.dot(&b)).collect()
    }

    fn better(mut self, plain: &Self) -> Self {
        for (row, (own, other)) in self.costs().into_iter().zip(plain.costs()).enumerate() {
            if own < other {
                continue;
            }
            self.rows[row].clone_from(&plain.rows[row]);
            self.errors.set_column(row, &plain.errors.column(row));
            self.slopes.set_column(row, &plain.slopes.column(row));
        }
        self
    }

    /// One round over all columns; whether anything moved.
    ///
    /// So many columns at a time are settled among themselves, then their changes reach all others
    /// in one product.
    fn refine(&mut self, grid: &Grid, section: &Section) -> bool {
        let width = section.cols.len();
        let mut moved = false;
        for first in (0..width).step_by(LAZY) {
            let len = LAZY.min(width - first);
            let near = section.hessian.view((first, first), (len, len)).into_owned();
            let changes = self.refine_near(grid, &near, first);
            if changes.iter().all(|&change| change == 0.0) {
                continue;
            }
            moved = true;
            let all = section.hessian.columns(first, len);
            self.slopes.gemm(-1.0, &all, &changes, 1.0);
            let mut errors = self.errors.rows_mut(first, len);
            errors -= changes;
        }
        moved
    }

    /// Settles columns near each other; by how much the rounded values changed.
    fn refine_near(&mut self, grid: &Grid, near: &DMatrix<f32>, first: usize) -> DMatrix<f32> {
        let len = near.nrows();
        let mut changes = DMatrix::zeros(len, self.rows.len());
        for (index, row) in self.rows.iter_mut().enumerate() {
            let blocks = &mut row[first / grid.len..(first + len) / grid.len];
            let slopes: DVector<f32> = self.slopes.view((first, index), (len, 1)).column(0).into();
            if !slopes.iter().all(|slope| slope.is_finite()) {
                continue;
            }
            let mut local = Local::new(grid, near, slopes);
            for step in [Step::Codes, Step::Groups, Step::Shared, Step::Codes] {
                local.run(step, blocks);
            }
            changes.set_column(index, &local.changes);
        }
        changes
    }
}
