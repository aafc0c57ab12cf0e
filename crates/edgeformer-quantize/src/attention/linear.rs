//! Linear algebra that conversions share.

use nalgebra::{Complex, DMatrix, DVector};

pub(super) type Matrix = DMatrix<f64>;
pub(super) type ComplexMatrix = DMatrix<Complex<f64>>;

/// Eigenvalues, largest first and none below zero, and their vectors as columns, of a symmetric
/// matrix without negative eigenvalues.
pub(super) fn eigen(symmetric: Matrix) -> (DVector<f64>, Matrix) {
    let eigen = symmetric.symmetric_eigen();
    let order = descending(&eigen.eigenvalues);
    let values = order.iter().map(|&index| eigen.eigenvalues[index].max(0.0));
    (DVector::from_iterator(order.len(), values), eigen.eigenvectors.select_columns(&order))
}

/// The same of a Hermitian matrix.
pub(super) fn complex_eigen(hermitian: ComplexMatrix) -> (DVector<f64>, ComplexMatrix) {
    let eigen = hermitian.symmetric_eigen();
    let order = descending(&eigen.eigenvalues);
    let values = order.iter().map(|&index| eigen.eigenvalues[index].max(0.0));
    (DVector::from_iterator(order.len(), values), eigen.eigenvectors.select_columns(&order))
}

fn descending(values: &DVector<f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// Square root and inverse square root of a symmetric matrix, its eigenvalues lifted to `floor`
/// times their mean so that the inverse stays small.
pub(super) fn square_roots(symmetric: Matrix, floor: f64) -> (Matrix, Matrix) {
    let size = symmetric.nrows();
    let mean = symmetric.trace() / size.max(1) as f64;
    if mean <= 0.0 {
        return (Matrix::identity(size, size), Matrix::identity(size, size));
    }
    let (values, vectors) = eigen(symmetric);
    let roots = values.map(|value| value.max(floor * mean).sqrt());
    let scaled =
        |scales: DVector<f64>| &vectors * Matrix::from_diagonal(&scales) * vectors.transpose();
    (scaled(roots.clone()), scaled(roots.map(f64::recip)))
}

/// The orthogonal `R` that brings `R b` closest to `a`, of `a bᵀ` (Schönemann 1966).
pub(super) fn procrustes(cross: Matrix) -> Matrix {
    let size = cross.nrows();
    let svd = cross.svd(true, true);
    match (svd.u, svd.v_t) {
        (Some(u), Some(v_t)) => u * v_t,
        _ => Matrix::identity(size, size),
    }
}

/// How well the best rotation does: the sum of the singular values of `a bᵀ`.
pub(super) fn nuclear(cross: Matrix) -> f64 {
    cross.svd(false, false).singular_values.sum()
}

/// `w c wᵀ`.
pub(super) fn sandwich(w: &Matrix, c: &Matrix) -> Matrix {
    w * c * w.transpose()
}

/// Rows of a matrix under one another.
pub(super) fn stack(parts: &[Matrix]) -> Matrix {
    let (rows, columns) = (parts.iter().map(Matrix::nrows).sum(), parts[0].ncols());
    let mut stacked = Matrix::zeros(rows, columns);
    let mut at = 0;
    for part in parts {
        stacked.rows_mut(at, part.nrows()).copy_from(part);
        at += part.nrows();
    }
    stacked
}

/// Square matrices along the diagonal.
pub(super) fn block_diagonal(blocks: &[Matrix]) -> Matrix {
    let size = blocks.iter().map(Matrix::nrows).sum();
    let mut whole = Matrix::zeros(size, size);
    let mut at = 0;
    for block in blocks {
        whole.view_mut((at, at), block.shape()).copy_from(block);
        at += block.nrows();
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
        proptest::collection::vec(-1.0f64..1.0, rows * columns)
            .prop_map(move |values| Matrix::from_vec(rows, columns, values))
    }

    proptest! {
        #[test]
        fn procrustes_recovers_a_rotation(a in matrix(5, 9), seed in matrix(5, 5)) {
            let rotation = seed.qr().q();
            let b = rotation.transpose() * &a;
            prop_assume!(a.clone().svd(false, false).singular_values.min() > 1e-3);
            let found = procrustes(&a * b.transpose());
            prop_assert!((found - rotation).norm() < 1e-6);
        }

        #[test]
        fn square_roots_are_inverse_to_each_other(a in matrix(6, 6)) {
            let (root, inverse) = square_roots(&a * a.transpose(), 1e-6);
            prop_assert!((&root * inverse - Matrix::identity(6, 6)).norm() < 1e-6);
            prop_assert!((&root * &root - &a * a.transpose()).norm() < 1e-3);
        }

        #[test]
        fn eigenvalues_fall_and_rebuild_the_matrix(a in matrix(6, 4)) {
            let (values, vectors) = eigen(&a * a.transpose());
            prop_assert!(values.as_slice().is_sorted_by(|a, b| a >= b));
            let rebuilt = &vectors * Matrix::from_diagonal(&values) * vectors.transpose();
            prop_assert!((rebuilt - &a * a.transpose()).norm() < 1e-9);
        }
    }
}
