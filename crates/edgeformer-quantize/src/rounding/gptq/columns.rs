//! One column after the other.

use nalgebra::DMatrix;

use super::{LAZY, Row, Section};
use crate::rounding::coder::{Book, Coder, Range};
use crate::rounding::fit::inverse;
use crate::rounding::grid::{Codes, Grid, Parts};
use crate::rounding::kquant;
use crate::rounding::task::Task;

/// Rounds rows (columns of `values`) with feedback.
pub fn round(grid: &Grid, section: &Section, values: &DMatrix<f32>) -> Vec<Row> {
    match grid.codes {
        Codes::Book => Pass::new(grid, section, values, Book).run(),
        Codes::Range(low, high) => Pass::new(grid, section, values, Range { low, high }).run(),
    }
}

/// Columns in the order they are rounded; a column of these matrices holds all rows.
struct Pass<'a, C> {
    grid: &'a Grid,
    section: &'a Section,
    coder: C,
    /// What is to be rounded.
    values: DMatrix<f32>,
    /// The same with what the columns before lost.
    targets: DMatrix<f32>,
    /// What was lost.
    errors: DMatrix<f32>,
    rows: Vec<Row>,
}

impl<'a, C: Coder> Pass<'a, C> {
    fn new(grid: &'a Grid, section: &'a Section, values: &DMatrix<f32>, coder: C) -> Self {
        let transposed = values.transpose();
        let values = match &section.order {
            None => transposed,
            Some(order) => transposed.select_columns(order),
        };
        let (height, width) = values.shape();
        let rows = vec![vec![Parts::ZERO; width / grid.len]; height];
        let errors = DMatrix::zeros(height, width);
        Self { grid, section, coder, targets: values.clone(), values, errors, rows }
    }

    fn run(mut self) -> Vec<Row> {
        if let Some(order) = &self.section.order {
            self.choose_beforehand(&order.clone());
        }
        let width = self.values.ncols();
        for first in (0..width).step_by(LAZY) {
            let end = (first + LAZY).min(width);
            self.settle_with_earlier(first, end);
            for col in first..end {
                if self.section.order.is_none() && col.is_multiple_of(self.grid.len) {
                    self.choose(col);
                }
                self.round_column(col);
                self.feed_back(col, end);
            }
        }
        self.rows
    }

    /// What all columns before `first` lost, in one product.
    fn settle_with_earlier(&mut self, first: usize, end: usize) {
        if first == 0 {
            return;
        }
        let feedback = self.section.factor.feedback.view((0, first), (first, end - first));
        let errors = self.errors.columns(0, first);
        self.targets.columns_mut(first, end - first).gemm(1.0, &errors, &feedback, 1.0);
    }

    fn feed_back(&mut self, col: usize, end: usize) {
        let lost = self.errors.column(col);
        for later in col + 1..end {
            let share = self.section.factor.feedback[(col, later)];
            self.targets.column_mut(later).axpy(share, &lost, 1.0);
        }
    }

    /// Scales of the block that begins at a column, for its targets as they are now.
    fn choose(&mut self, col: usize) {
        let costs = &self.section.factor.costs[col..col + self.grid.len];
        let targets = self.targets.columns(col, self.grid.len);
        for (row, target) in self.rows.iter_mut().zip(targets.row_iter()) {
            let target: Vec<f32> = target.iter().copied().collect();
            row[col / self.grid.len] = scales(self.grid, &target, costs);
        }
    }

    /// Scales of all blocks, for the weights as they are.
    fn choose_beforehand(&mut self, order: &[usize]) {
        let costs = self.section.hessian.diagonal();
        for (row, values) in self.rows.iter_mut().zip(self.values.row_iter()) {
            let mut standing = vec![0.0; order.len()];
            for (value, &place) in values.iter().zip(order) {
                standing[place] = *value;
            }
            let blocks = standing.chunks_exact(self.grid.len);
            let costs = costs.as_slice().chunks_exact(self.grid.len);
            for (parts, (values, costs)) in row.iter_mut().zip(blocks.zip(costs)) {
                *parts = scales(self.grid, values, costs);
            }
        }
    }

    fn round_column(&mut self, col: usize) {
        let place = self.section.order.as_ref().map_or(col, |order| order[col]);
        let (block, within) = (place / self.grid.len, place % self.grid.len);
        for (row, blocks) in self.rows.iter_mut().enumerate() {
            let parts = &mut blocks[block];
            let group = parts.group(within / self.grid.group);
            let target = self.targets[(row, col)];
            let code = self.coder.code((target + group.min) * inverse(group.scale));
            parts.codes[within] = code as i8;
            self.errors[(row, col)] = self.values[(row, col)] - (group.scale * code - group.min);
        }
    }
}

/// A block's scales of least weighted squared error; its codes are to follow.
fn scales(grid: &Grid, values: &[f32], costs: &[f32]) -> Parts {
    let Some(task) = Task::new(values, Some(costs)) else { return Parts::ZERO };
    task.restore(kquant::solve(grid, &task, None))
}
