//! Keys of one frequency, over all heads, as components that rotate like them.
//!
//! A rotary pair of columns is a complex number `z` that a position turns by `e^{iθp}`, so a score
//! is the sum over pairs of `Re(conj(q) z e^{-iθ(p-s)})`. For one frequency the keys of the `K`
//! heads are a vector `z` in `C^K`, and every matrix over the heads commutes with the rotation
//! (TransMLA, arXiv 2502.07864, takes orthogonal ones; unitary ones are more, and allowed).
//! With `s_g² = E|q|²` over the queries of head `g` and `U` the eigenvectors of the covariance of
//! the weighted keys `s_g z_g`, largest first,
//!
//! ```text
//! w_c = Σ_g conj(U_gc) s_g z_g       a component: the part of a key
//! q_c = q conj(U_gc) / s_g           the part of a query of head g
//! Σ_c conj(q_c) w_c = conj(q) z_g    the same score, exactly
//! ```
//!
//! and leaving a component out costs its eigenvalue in squared error of scores.

use nalgebra::{Complex, DVector};

use super::linear::{ComplexMatrix, Matrix, complex_eigen};
use super::source::{Projections, Source};

/// The components of one frequency.
pub(super) struct Components {
    /// `[component, head]`: what makes components of the heads' keys.
    pub of_keys: ComplexMatrix,
    /// `[head, component]`: what a head's queries are multiplied with.
    pub of_queries: ComplexMatrix,
    /// What leaving a component out costs, largest first.
    pub energy: DVector<f64>,
}

/// Second moments of a layer's keys and queries.
pub(super) struct Moments {
    /// `[kv_heads * key_dim, kv_heads * key_dim]`.
    pub keys: Matrix,
    /// `[key_dim, key_dim]` of each query head.
    pub queries: Vec<Matrix>,
}

impl Moments {
    pub fn of(source: &Source, projections: &Projections, moment: &Matrix) -> Self {
        let query = |head: usize| {
            let rows = projections.q.rows(head * source.key_dim, source.key_dim);
            rows * moment * rows.transpose()
        };
        let keys = &projections.k * moment * projections.k.transpose();
        Self { keys, queries: (0..source.heads).map(query).collect() }
    }

    /// The mean square of the queries of a key-value head in some columns.
    fn query_energy(&self, source: &Source, kv_head: usize, columns: [usize; 2]) -> f64 {
        let of = |head: usize| columns.map(|at| self.queries[head][(at, at)]).iter().sum::<f64>();
        source.queries_of(kv_head).map(of).sum()
    }
}

/// The components of every frequency, over the key-value heads `members`.
pub(super) fn components(source: &Source, moments: &Moments, members: &[usize]) -> Vec<Components> {
    source.pairs.iter().map(|&pair| of_pair(source, moments, members, pair)).collect()
}

fn of_pair(source: &Source, moments: &Moments, members: &[usize], pair: [usize; 2]) -> Components {
    let energies = members.iter().map(|&head| moments.query_energy(source, head, pair));
    let energies: Vec<f64> = energies.collect();
    // A head that never asks still gets its place.
    let floor = 1e-6 * energies.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let scales: Vec<f64> = energies.iter().map(|energy| energy.max(floor).sqrt()).collect();
    let covariance = ComplexMatrix::from_fn(members.len(), members.len(), |row, column| {
        let at = |head: usize, part: usize| members[head] * source.key_dim + pair[part];
        let moment = |a: usize, b: usize| moments.keys[(at(row, a), at(column, b))];
        let product = Complex::new(moment(0, 0) + moment(1, 1), moment(1, 0) - moment(0, 1));
        product * (scales[row] * scales[column])
    });
    let (energy, vectors) = complex_eigen(covariance);
    let adjoint = vectors.adjoint();
    Components {
        of_keys: ComplexMatrix::from_fn(members.len(), members.len(), |component, head| {
            adjoint[(component, head)] * scales[head]
        }),
        of_queries: ComplexMatrix::from_fn(members.len(), members.len(), |head, component| {
            vectors[(head, component)].conj() / scales[head]
        }),
        energy,
    }
}

/// Two rows as one complex row, times a factor, added to two rows of `to`.
pub(super) fn add_turned(
    to: &mut Matrix,
    to_rows: [usize; 2],
    from: &Matrix,
    from_rows: [usize; 2],
    factor: Complex<f64>,
) {
    for column in 0..from.ncols() {
        let [a, b] = from_rows.map(|row| from[(row, column)]);
        let turned = Complex::new(a, b) * factor;
        to[(to_rows[0], column)] += turned.re;
        to[(to_rows[1], column)] += turned.im;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_factor_commutes_with_the_rotation(
            pair in [-1.0f64..1.0, -1.0..1.0],
            factor in [-2.0f64..2.0, -2.0..2.0],
            angle in -7.0f64..7.0,
        ) {
            let turn = |rows: &Matrix, factor: Complex<f64>| {
                let mut turned = Matrix::zeros(2, 1);
                add_turned(&mut turned, [0, 1], rows, [0, 1], factor);
                turned
            };
            let rows = Matrix::from_row_slice(2, 1, &pair);
            let (factor, rotation) = (Complex::new(factor[0], factor[1]), Complex::cis(angle));
            let one = turn(&turn(&rows, factor), rotation);
            let other = turn(&turn(&rows, rotation), factor);
            prop_assert!((&one - other).norm() < 1e-12);
            // The rotation is the one that models compute.
            let [a, b] = pair;
            let (sin, cos) = angle.sin_cos();
            let plain = Matrix::from_row_slice(2, 1, &[a * cos - b * sin, a * sin + b * cos]);
            prop_assert!((turn(&rows, rotation) - plain).norm() < 1e-12);
        }
    }
}
