//! How the heads of a group become one, and what undoes it.

use nalgebra::Complex;

use super::Align;
use crate::attention::components::{Moments, components};
use crate::attention::linear::{Matrix, block_diagonal, eigen, procrustes, sandwich, square_roots};
use crate::attention::source::Source;

/// A shared head `Σ into_h W_h`, of which `back_h` makes the heads again, nearly.
pub(super) struct Merged {
    pub into: Vec<Matrix>,
    pub back: Vec<Matrix>,
}

/// Rounds of turning every head towards the others.
const ROUNDS: usize = 30;

/// Directions that are never asked for are weighed with this share of the mean.
const FLOOR: f64 = 1e-4;

impl Merged {
    fn plain(members: usize, size: usize) -> Self {
        let identity = Matrix::identity(size, size);
        Self { into: vec![&identity / members as f64; members], back: vec![identity; members] }
    }

    fn turned(rotations: Vec<Matrix>) -> Self {
        let members = rotations.len() as f64;
        Self {
            into: rotations.iter().map(|rotation| rotation / members).collect(),
            back: rotations.iter().map(Matrix::transpose).collect(),
        }
    }

    /// Heads whose rows have second moments `gram`, errors weighed with `weights`.
    pub fn of(gram: &Matrix, weights: &[Matrix], align: Align) -> Self {
        let (members, size) = (weights.len(), weights[0].nrows());
        match align {
            _ if size == 0 || members == 1 => Self::plain(members, size),
            Align::Plain => Self::plain(members, size),
            Align::Procrustes => Self::turned(rotations(gram, members, size)),
            Align::Principal => principal(gram, weights),
        }
    }

    /// The share of the heads' energy that is left.
    pub fn kept(&self, gram: &Matrix, weights: &[Matrix]) -> f64 {
        let (members, size) = (weights.len(), weights[0].nrows());
        let rebuilt = Matrix::from_fn(members * size, members * size, |row, column| {
            let (back, into) = (&self.back[row / size], &self.into[column / size]);
            (back.row(row % size) * into.column(column % size))[(0, 0)]
        });
        let error = sandwich(&(Matrix::identity(members * size, members * size) - rebuilt), gram);
        let weights = block_diagonal(weights);
        let whole = weights.dot(gram);
        if whole > 0.0 { 1.0 - weights.dot(&error) / whole } else { 1.0 }
    }
}

/// Rotations that bring all heads together: each in turn to the sum of the others.
fn rotations(gram: &Matrix, members: usize, size: usize) -> Vec<Matrix> {
    let cross = |a: usize, b: usize| gram.view((a * size, b * size), (size, size));
    let energy = |head: usize| cross(head, head).trace();
    let reference = (0..members).max_by(|&a, &b| energy(a).total_cmp(&energy(b))).unwrap_or(0);
    let towards = |head: usize| match head == reference {
        true => Matrix::identity(size, size),
        false => procrustes(cross(reference, head).into_owned()),
    };
    let mut rotations: Vec<Matrix> = (0..members).map(towards).collect();
    for _ in 0..if members > 2 { ROUNDS } else { 0 } {
        for head in (0..members).filter(|&head| head != reference) {
            let mut others = Matrix::zeros(size, size);
            for other in (0..members).filter(|&other| other != head) {
                others += &rotations[other] * cross(other, head);
            }
            rotations[head] = procrustes(others);
        }
    }
    rotations
}

/// The first principal components of all rows.
fn principal(gram: &Matrix, weights: &[Matrix]) -> Merged {
    let (members, size) = (weights.len(), weights[0].nrows());
    let (roots, inverses): (Vec<_>, Vec<_>) =
        weights.iter().map(|weight| square_roots(weight.clone(), FLOOR)).unzip();
    let root = block_diagonal(&roots);
    let (_, vectors) = eigen(&root * gram * &root);
    let vectors = vectors.columns(0, size);
    let part = |head: usize| vectors.rows(head * size, size);
    Merged {
        into: (0..members).map(|head| part(head).transpose() * &roots[head]).collect(),
        back: (0..members).map(|head| &inverses[head] * part(head)).collect(),
    }
}

/// Keys: a complex factor in every rotary pair, any matrix in columns without rotation.
pub(super) fn keys(
    source: &Source,
    moments: &Moments,
    members: &[usize],
    gram: &Matrix,
    weights: &[Matrix],
    align: Align,
) -> Merged {
    let size = source.key_dim;
    let mut merged = Merged {
        into: vec![Matrix::zeros(size, size); members.len()],
        back: vec![Matrix::zeros(size, size); members.len()],
    };
    for (pair, factors) in pair_factors(source, moments, members, gram, align).iter().enumerate() {
        for (head, [into, back]) in factors.iter().enumerate() {
            put(&mut merged.into[head], source.pairs[pair], *into);
            put(&mut merged.back[head], source.pairs[pair], *back);
        }
    }
    let rows: Vec<usize> = (0..members.len())
        .flat_map(|head| source.rest.iter().map(move |column| head * size + column))
        .collect();
    let rest_of = |matrix: &Matrix| matrix.select_rows(&source.rest).select_columns(&source.rest);
    let weights: Vec<Matrix> = weights.iter().map(rest_of).collect();
    let rest = Merged::of(&gram.select_rows(&rows).select_columns(&rows), &weights, align);
    for head in 0..members.len() {
        spread(&mut merged.into[head], &source.rest, &rest.into[head]);
        spread(&mut merged.back[head], &source.rest, &rest.back[head]);
    }
    merged
}

type Factors = Vec<[Complex<f64>; 2]>;

/// For each rotary pair and head, the factors into the shared head and back.
fn pair_factors(
    source: &Source,
    moments: &Moments,
    members: &[usize],
    gram: &Matrix,
    align: Align,
) -> Vec<Factors> {
    let one = Complex::new(1.0, 0.0);
    let share = one / members.len() as f64;
    let turned = |phase: &Complex<f64>| [phase * share, phase.conj()];
    match align {
        Align::Plain => vec![vec![[share, one]; members.len()]; source.pairs.len()],
        Align::Procrustes => (0..source.pairs.len())
            .map(|pair| phases(source, members.len(), gram, pair).iter().map(turned).collect())
            .collect(),
        Align::Principal => components(source, moments, members)
            .iter()
            .map(|found| {
                let head = |head| [found.of_keys[(0, head)], found.of_queries[(head, 0)].conj()];
                (0..members.len()).map(head).collect()
            })
            .collect(),
    }
}

/// `E[z_a conj(z_b)]` of a rotary pair of two members of a group.
pub(super) fn pair_product(
    source: &Source,
    gram: &Matrix,
    pair: usize,
    [a, b]: [usize; 2],
) -> Complex<f64> {
    let [re, im] = source.pairs[pair];
    let at =
        |row: usize, column: usize| gram[(a * source.key_dim + row, b * source.key_dim + column)];
    Complex::new(at(re, re) + at(im, im), at(im, re) - at(re, im))
}

/// Phases that bring the pair of all heads together.
fn phases(source: &Source, members: usize, gram: &Matrix, pair: usize) -> Vec<Complex<f64>> {
    let product = |a: usize, b: usize| pair_product(source, gram, pair, [a, b]);
    let energy = |head: usize| product(head, head).re;
    let reference = (0..members).max_by(|&a, &b| energy(a).total_cmp(&energy(b))).unwrap_or(0);
    let mut phases: Vec<_> = (0..members).map(|head| phase(product(reference, head))).collect();
    for _ in 0..ROUNDS {
        for head in (0..members).filter(|&head| head != reference) {
            let others = (0..members).filter(|&other| other != head);
            phases[head] = phase(others.map(|other| phases[other] * product(other, head)).sum());
        }
    }
    phases
}

fn phase(number: Complex<f64>) -> Complex<f64> {
    let norm = number.norm();
    if norm > 0.0 { number / norm } else { Complex::new(1.0, 0.0) }
}

/// A complex factor as a matrix over the two columns of a pair.
fn put(matrix: &mut Matrix, [a, b]: [usize; 2], factor: Complex<f64>) {
    matrix[(a, a)] = factor.re;
    matrix[(a, b)] = -factor.im;
    matrix[(b, a)] = factor.im;
    matrix[(b, b)] = factor.re;
}

fn spread(matrix: &mut Matrix, columns: &[usize], part: &Matrix) {
    for (row, &to_row) in columns.iter().enumerate() {
        for (column, &to_column) in columns.iter().enumerate() {
            matrix[(to_row, to_column)] = part[(row, column)];
        }
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

    fn ones(members: usize, size: usize) -> Vec<Matrix> {
        vec![Matrix::identity(size, size); members]
    }

    proptest! {
        /// Heads that are rotations of one another lose nothing, and values go through outputs
        /// unchanged.
        #[test]
        fn rotated_copies_become_one(head in matrix(4, 12), seeds in [matrix(4, 4), matrix(4, 4)]) {
            prop_assume!(head.clone().svd(false, false).singular_values.min() > 1e-2);
            let [a, b] = seeds.map(|seed| seed.qr().q());
            let heads = [head.clone(), &a * &head, &b * &head];
            let all = crate::attention::linear::stack(&heads);
            let gram = &all * all.transpose();
            for align in [Align::Procrustes, Align::Principal] {
                let merged = Merged::of(&gram, &ones(3, 4), align);
                let shared: Matrix =
                    merged.into.iter().zip(&heads).map(|(into, head)| into * head).sum();
                for (back, head) in merged.back.iter().zip(&heads) {
                    prop_assert!((back * &shared - head).norm() < 1e-6);
                }
                prop_assert!(merged.kept(&gram, &ones(3, 4)) > 1.0 - 1e-9);
            }
        }

        #[test]
        fn each_kind_keeps_more_than_the_one_before(all in matrix(8, 12)) {
            let gram = &all * all.transpose();
            let kept = [Align::Plain, Align::Procrustes, Align::Principal].map(|align| {
                Merged::of(&gram, &ones(2, 4), align).kept(&gram, &ones(2, 4))
            });
            prop_assert!(kept[0] <= kept[1] + 1e-9 && kept[1] <= kept[2] + 1e-9, "{kept:?}");
        }
    }
}
