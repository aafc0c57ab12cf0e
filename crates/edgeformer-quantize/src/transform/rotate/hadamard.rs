//! Orthogonal matrices that spread every channel over all.

use nalgebra::DMatrix;

use crate::transform::random::Random;

/// A randomised Hadamard rotation `Q` of any width: `diag(signs) (H ⊗ O)`, with Sylvester's
/// Hadamard matrix of the width's largest power of two, and for the odd rest a random orthogonal
/// matrix (all of it from the seed). Rows are rotated as `x Q`, columns as `Qᵀ x`: the same sums.
pub(super) struct Rotation {
    signs: Vec<f32>,
    /// Width of the Hadamard matrix.
    power: usize,
    /// `O`, row by row; empty for a width of a power of two.
    rest: Vec<f64>,
}

impl Rotation {
    /// The rotation of a width and a seed.
    pub fn new(width: usize, seed: u64) -> Self {
        let power = 1 << width.trailing_zeros();
        let mut random = Random::new(seed);
        let signs = (0..width).map(|_| random.sign()).collect();
        let rest = if power == width { Vec::new() } else { orthogonal(width / power, &mut random) };
        Self { signs, power, rest }
    }

    /// How many values it mixes.
    pub fn width(&self) -> usize {
        self.signs.len()
    }

    /// Rotates every row of a matrix that is as wide: `X Q`.
    pub fn rows(&self, values: &mut [f32]) {
        values.chunks_exact_mut(self.width()).for_each(|row| self.columns(row, 1));
    }

    /// Rotates every column of a matrix that is as high and has `inner` columns: `Qᵀ X`.
    pub fn columns(&self, values: &mut [f32], inner: usize) {
        for (row, sign) in values.chunks_exact_mut(inner).zip(&self.signs) {
            row.iter_mut().for_each(|value| *value *= sign);
        }
        self.hadamard(values);
        if !self.rest.is_empty() {
            self.mix_rest(values, inner);
        }
    }

    /// The fast Walsh-Hadamard transform over `power` equal parts.
    fn hadamard(&self, values: &mut [f32]) {
        let part = values.len() / self.power;
        let mut distance = part;
        while distance < values.len() {
            for pair in values.chunks_exact_mut(2 * distance) {
                let (upper, lower) = pair.split_at_mut(distance);
                for (a, b) in upper.iter_mut().zip(lower) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            distance *= 2;
        }
        let unit = (self.power as f32).sqrt().recip();
        values.iter_mut().for_each(|value| *value *= unit);
    }

    /// `Oᵀ` over the rows of each of the `power` parts.
    fn mix_rest(&self, values: &mut [f32], inner: usize) {
        let width = self.width() / self.power;
        let mut mixed = vec![0.0f64; inner];
        let mut part_before = vec![0.0f32; width * inner];
        for part in values.chunks_exact_mut(width * inner) {
            part_before.copy_from_slice(part);
            for (to, row) in part.chunks_exact_mut(inner).enumerate() {
                mixed.fill(0.0);
                for (from, before) in part_before.chunks_exact(inner).enumerate() {
                    let weight = self.rest[from * width + to];
                    for (sum, &value) in mixed.iter_mut().zip(before) {
                        *sum += weight * f64::from(value);
                    }
                }
                row.iter_mut().zip(&mixed).for_each(|(value, &sum)| *value = sum as f32);
            }
        }
    }
}

/// A random orthogonal matrix, row by row: the `Q` of a Gaussian matrix, with the signs that make
/// it uniform (Mezzadri, arXiv math-ph/0609050).
fn orthogonal(width: usize, random: &mut Random) -> Vec<f64> {
    let gaussian = DMatrix::from_fn(width, width, |_, _| random.gaussian());
    let (mut q, r) = gaussian.qr().unpack();
    for (column, mut values) in q.column_iter_mut().enumerate() {
        if r[(column, column)] < 0.0 {
            values.neg_mut();
        }
    }
    q.transpose().as_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(width: usize) -> Vec<f32> {
        (0..width * width).map(|at| f32::from(at / width == at % width)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_rotation_times_its_transpose_is_the_identity(width in 1usize..150, seed: u64) {
            let rotation = Rotation::new(width, seed);
            // X Q of the identity is Q, and Qᵀ Q of that is the identity again.
            let mut q = identity(width);
            rotation.rows(&mut q);
            rotation.columns(&mut q, width);
            for (found, expected) in q.iter().zip(identity(width)) {
                prop_assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn an_outlier_is_spread_evenly_over_a_power_of_two() {
        let mut row = vec![0.0; 256];
        row[17] = 16.0;
        Rotation::new(256, 3).rows(&mut row);
        assert!(row.iter().all(|value| (value.abs() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_seed_gives_the_same_rotation() {
        let rotated = |seed| {
            let mut row: Vec<f32> = (0..24).map(|at| at as f32).collect();
            Rotation::new(24, seed).rows(&mut row);
            row
        };
        assert_eq!(rotated(5), rotated(5));
        assert_ne!(rotated(5), rotated(6));
    }
}
