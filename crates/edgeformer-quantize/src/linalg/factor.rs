//! What a rounding error in one column is worth to the columns after it.

use nalgebra::{DMatrix, DMatrixViewMut};

/// `H = (U + I) D (U + I)ᵀ` with `U` strictly upper triangular.
///
/// GPTQ takes the Cholesky factor of the inverse of `H` and subtracts, after a column, its error
/// from all that follow. That is the same as adding to column `j`, before it is rounded, the sum
/// of `(w - q) U[k, j]` over the columns `k` before it (Chee et al. 2023, QuIP, arXiv 2307.13304,
/// theorem 6), and `D[j]` is what the square of its rounding error then costs. This form needs one
/// factorisation and no inverse: less work, and less to lose to rounding.
#[derive(Debug)]
pub struct Factor {
    /// `U`; nothing is to be read on or below the diagonal.
    pub feedback: DMatrix<f32>,
    /// `D`.
    pub costs: Vec<f32>,
}

/// Columns that are factorised at a time: the rest is a product of matrices.
const PANEL: usize = 64;

impl Factor {
    /// Of a symmetric matrix with a share of the mean of its diagonal added to the diagonal; none
    /// if it is not positive definite even then, and with much more.
    pub fn new(matrix: &DMatrix<f32>, damping: f32) -> Option<Self> {
        let mean = f64::from(matrix.diagonal().mean());
        if !mean.is_finite() {
            return None;
        }
        // Nothing was ever put in: any order and no feedback will do.
        let mean = if mean > 0.0 { mean } else { 1.0 };
        let more = [1.0, 10.0, 100.0].map(|more| more * f64::from(damping.max(1e-6)) * mean);
        more.into_iter().find_map(|added| Self::with_added(matrix, added))
    }

    fn with_added(matrix: &DMatrix<f32>, added: f64) -> Option<Self> {
        let mut root = matrix.map(f64::from);
        for i in 0..root.nrows() {
            root[(i, i)] += added;
        }
        upper_root(&mut root)?;
        let diagonal: Vec<f64> = root.diagonal().iter().copied().collect();
        for (mut column, pivot) in root.column_iter_mut().zip(&diagonal) {
            column /= *pivot;
        }
        let costs = diagonal.iter().map(|root| (root * root) as f32).collect();
        Some(Self { feedback: root.map(|value| value as f32), costs })
    }
}

/// Replaces the upper triangle of a symmetric matrix by `R`, upper triangular with `R Rᵀ` that
/// matrix; none if there is none.
fn upper_root(matrix: &mut DMatrix<f64>) -> Option<()> {
    let mut end = matrix.nrows();
    while end > 0 {
        let first = (end - 1) / PANEL * PANEL;
        let width = end - first;
        let mut panel = matrix.view((0, first), (end, width)).into_owned();
        root_of_panel(&mut panel, first)?;
        matrix.view_mut((0, first), (end, width)).copy_from(&panel);
        // What the panel explains of the columns before it, of each down to its diagonal.
        for column in (0..first).step_by(PANEL) {
            let below = column + PANEL;
            let across = panel.rows(column, PANEL).transpose();
            let rest: DMatrixViewMut<'_, f64> = matrix.view_mut((0, column), (below, PANEL));
            subtract_product(rest, &panel, &across);
        }
        end = first;
    }
    Some(())
}

fn subtract_product(mut from: DMatrixViewMut<'_, f64>, left: &DMatrix<f64>, right: &DMatrix<f64>) {
    let rows = from.nrows();
    from.gemm(-1.0, &left.rows(0, rows), right, 1.0);
}

/// The columns of `R` from `first` on, given what is left of the matrix there: the last first.
fn root_of_panel(panel: &mut DMatrix<f64>, first: usize) -> Option<()> {
    for j in (0..panel.ncols()).rev() {
        let pivot = panel[(first + j, j)];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        let height = first + j + 1;
        let mut column = panel.view((0, j), (height, 1)).into_owned();
        column /= pivot.sqrt();
        panel.view_mut((0, j), (height, 1)).copy_from(&column);
        for k in 0..j {
            let factor = column[(first + k, 0)];
            let height = first + k + 1;
            let mut before = panel.view_mut((0, k), (height, 1));
            before.zip_apply(&column.rows(0, height), |held, root| *held -= factor * root);
        }
    }
    Some(())
}
