//! Keys without position and values, jointly, through a narrow latent.

use nalgebra::DVector;

use super::LatentNorm;
use crate::attention::linear::{Matrix, block_diagonal, eigen, sandwich, square_roots, stack};

/// What is factorised: `keys` and `values` are rows over the inputs.
#[derive(Debug)]
pub(super) struct Joint {
    pub keys: Matrix,
    pub values: Matrix,
    /// How errors of keys and values weigh: `E` of the outer products of the queries that meet
    /// them, and the output projection's. `None` weighs all alike.
    pub weights: Option<[Matrix; 2]>,
    /// `E[x xᵀ]` of the inputs.
    pub moment: Matrix,
    /// The layer's norm, whose inputs' mean square is one.
    pub norm: Vec<f64>,
}

/// `up · down`, close to the rows of keys over those of values.
pub(super) struct Factors {
    pub up: Matrix,
    pub down: Matrix,
    /// The share of the keys' energy that is left, and of the values'.
    pub kept: [f64; 2],
}

/// Directions of queries or outputs that are never used are weighed with this share of the mean,
/// so that dividing by the weights stays harmless.
const FLOOR: f64 = 1e-4;

impl Joint {
    /// The factorisation whose error is least, `E‖L (M x - up down x)‖²` with `L` the root of the
    /// weights: `down = Uᵀ L M` and `up = L⁻¹ U`, where `U` are the first eigenvectors of
    /// `L M `E[x xᵀ]` Mᵀ L` (Eckart, Young 1936, in the norms of the inputs and of the errors).
    pub fn factorise(&self, rank: usize, norm: LatentNorm) -> Factors {
        let both = stack(&[self.keys.clone(), self.values.clone()]);
        let full = both.nrows();
        if norm == LatentNorm::Exact && rank == full {
            return Factors { up: Matrix::identity(full, full), down: both, kept: [1.0, 1.0] };
        }
        if norm == LatentNorm::Portable && rank == both.ncols() && full >= rank {
            return self.whole_input(&both);
        }
        let gram = sandwich(&both, &self.moment);
        let (root, inverse) = self.roots(&gram);
        let (_, vectors) = eigen(&root * &gram * &root);
        let vectors = vectors.columns(0, rank).into_owned();
        let mut down = vectors.transpose() * &root * &both;
        let mut up = &inverse * &vectors;
        if norm == LatentNorm::Portable {
            (up, down) = self.steady(&up, &down);
        }
        let error =
            Matrix::identity(full, full) - &inverse * &vectors * vectors.transpose() * &root;
        let kept = self.kept(&gram, &root, sandwich(&error, &gram));
        Factors { up, down, kept }
    }

    /// The root of the weights of errors and its inverse, keys and values balanced: both have the
    /// same energy (TransMLA, arXiv 2502.07864, section 4.3).
    fn roots(&self, gram: &Matrix) -> (Matrix, Matrix) {
        let full = gram.nrows();
        let Some([keys, values]) = &self.weights else {
            return (Matrix::identity(full, full), Matrix::identity(full, full));
        };
        let (keys, keys_inverse) = square_roots(keys.clone(), FLOOR);
        let (values, values_inverse) = square_roots(values.clone(), FLOOR);
        let split = keys.nrows();
        let energy = |root: &Matrix, at: usize| {
            let part = gram.view((at, at), root.shape()).into_owned();
            sandwich(root, &part).trace()
        };
        let [of_keys, of_values] = [energy(&keys, 0), energy(&values, split)];
        let balance = match of_keys > 0.0 && of_values > 0.0 {
            true => (of_keys / of_values).sqrt(),
            false => 1.0,
        };
        let root = block_diagonal(&[keys, values * balance]);
        (root, block_diagonal(&[keys_inverse, values_inverse / balance]))
    }

    /// The latent is the layer's whole input before its norm's weights: its mean square is one, so
    /// that another norm changes nothing.
    fn whole_input(&self, both: &Matrix) -> Factors {
        let weights = self.norm_weights();
        Factors {
            up: both * Matrix::from_diagonal(&weights),
            down: Matrix::from_diagonal(&weights.map(f64::recip)),
            kept: [1.0, 1.0],
        }
    }

    fn kept(&self, gram: &Matrix, root: &Matrix, error: Matrix) -> [f64; 2] {
        let split = self.keys.nrows();
        let share = |from: usize, len: usize| {
            let part = |matrix: &Matrix| matrix.view((from, from), (len, len)).into_owned();
            let root = part(root);
            let whole = sandwich(&root, &part(gram)).trace();
            if whole > 0.0 { 1.0 - sandwich(&root, &part(&error)).trace() / whole } else { 1.0 }
        };
        [share(0, split), share(split, gram.nrows() - split)]
    }

    /// Changes the basis of the latent so that a norm changes it little. The layer's input before
    /// the weights of its norm has a constant norm; in a basis that is orthonormal there the
    /// latent is a projection of it, whose norm varies as much as what is left out. What the norm
    /// takes away on average, `up` gives back.
    fn steady(&self, up: &Matrix, down: &Matrix) -> (Matrix, Matrix) {
        let weights = self.norm_weights();
        let raw = down * Matrix::from_diagonal(&weights);
        let (root, inverse) = square_roots(&raw * raw.transpose(), 1e-9);
        let (up, down) = (up * root, inverse * down);
        let mean = sandwich(&down, &self.moment).trace() / down.nrows() as f64;
        (up * mean.sqrt(), down)
    }

    /// The weights of the layer's norm; one where there is none.
    fn norm_weights(&self) -> DVector<f64> {
        DVector::from_fn(self.moment.nrows(), |index, _| match self.norm.get(index) {
            Some(&weight) if weight.abs() > 1e-6 => weight,
            _ => 1.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
        proptest::collection::vec(-1.0f64..1.0, rows * columns)
            .prop_map(move |values| Matrix::from_vec(rows, columns, values))
    }

    fn joint() -> impl Strategy<Value = Joint> {
        let parts = [matrix(4, 6), matrix(3, 6), matrix(4, 4), matrix(3, 3)];
        let norm = proptest::collection::vec(0.2f64..2.0, 6);
        (parts, matrix(6, 6), norm).prop_map(|([keys, values, queries, outputs], root, norm)| {
            let square = |root: Matrix| &root * root.transpose();
            let lifted = |root: Matrix| square(root) + Matrix::identity(6, 6) * 0.1;
            let weights = Some([square(queries), square(outputs)]);
            Joint { keys, values, weights, moment: lifted(root), norm }
        })
    }

    fn error(joint: &Joint, factors: &Factors) -> f64 {
        let both = stack(&[joint.keys.clone(), joint.values.clone()]);
        let (root, _) = joint.roots(&sandwich(&both, &joint.moment));
        sandwich(&(root * (both - &factors.up * &factors.down)), &joint.moment).trace()
    }

    proptest! {
        #[test]
        fn a_full_latent_holds_everything(joint in joint()) {
            let both = stack(&[joint.keys.clone(), joint.values.clone()]);
            for norm in [LatentNorm::Exact, LatentNorm::Portable] {
                let Factors { up, down, kept } = joint.factorise(6, norm);
                prop_assert!((&up * &down - &both).norm() < 1e-6);
                prop_assert!(kept.iter().all(|kept| (kept - 1.0).abs() < 1e-9));
            }
        }

        /// Of the input that the layer's norm makes, a norm of the whole latent changes nothing.
        #[test]
        fn a_latent_as_wide_as_the_model_is_normal_already(
            joint in joint(),
            hidden in matrix(6, 1),
        ) {
            prop_assume!(hidden.norm() > 0.1);
            let normed = &hidden * (6f64.sqrt() / hidden.norm());
            let input = normed.component_mul(&joint.norm_weights());
            let latent = joint.factorise(6, LatentNorm::Portable).down * input;
            prop_assert!((latent.norm() - 6f64.sqrt()).abs() < 1e-9);
        }

        #[test]
        fn weights_and_moments_make_the_weighted_error_less(joint in joint(), rank in 1usize..6) {
            let weighted = joint.factorise(rank, LatentNorm::Exact);
            let plain = Joint {
                keys: joint.keys.clone(),
                values: joint.values.clone(),
                weights: None,
                moment: Matrix::identity(6, 6),
                norm: joint.norm.clone(),
            };
            let plain = plain.factorise(rank, LatentNorm::Exact);
            prop_assert!(error(&joint, &weighted) <= error(&joint, &plain) + 1e-9);
        }
    }
}
