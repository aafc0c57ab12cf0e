use nalgebra::DMatrix;
use proptest::prelude::*;

use super::*;

/// A wide matrix of no particular values.
fn inputs(rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| ((i * i + 3 * i) % 101) as f32 / 50.0 - 1.0).collect()
}

fn products(rows: usize, cols: usize) -> DMatrix<f64> {
    let inputs = DMatrix::from_row_slice(rows, cols, &inputs(rows, cols)).map(f64::from);
    inputs.transpose() * &inputs / rows as f64
}

fn hessian(rows: usize, cols: usize, block: usize) -> Hessian {
    let mut hessian = Hessian::new(cols, block);
    hessian.add_rows(&inputs(rows, cols)).unwrap();
    hessian
}

#[test]
fn a_hessian_is_the_mean_of_products() {
    let (rows, cols, block) = (1100, 150, 67);
    let (hessian, expected) = (hessian(rows, cols, block), products(rows, cols));
    assert_eq!(hessian.samples(), 1100);
    for (index, range) in hessian.blocks().enumerate() {
        let dense = hessian.dense(index);
        assert_eq!(dense.nrows(), range.len());
        for i in range.clone() {
            for j in range.clone() {
                let held = dense[(i - range.start, j - range.start)];
                assert!((f64::from(held) - expected[(i, j)]).abs() < 1e-5, "{i} {j}");
            }
        }
    }
    let diagonal = hessian.diagonal();
    assert_eq!(diagonal.len(), cols);
    for (i, held) in diagonal.into_iter().enumerate() {
        assert!((f64::from(held) - expected[(i, i)]).abs() < 1e-5);
    }
}

#[test]
fn many_small_rows_add_up() {
    let mut hessian = Hessian::new(2, 0);
    for _ in 0..100_000 {
        hessian.add_rows(&[0.1, 1.0]).unwrap();
    }
    let dense = hessian.dense(0);
    for (held, expected) in dense.iter().zip([0.01, 0.1, 0.1, 1.0]) {
        assert!((held / expected - 1.0).abs() < 1e-3, "{held} {expected}");
    }
    assert!(hessian.add_rows(&[1.0; 3]).is_err());
}

#[test]
fn a_hessian_is_read_back() {
    let hessian = hessian(40, 70, 32);
    let bytes = hessian.to_bytes();
    assert_eq!(Hessian::from_bytes(&bytes).unwrap(), hessian);
    for wrong in [&bytes[..31], &bytes[..bytes.len() - 4], &[&bytes[..], &[0; 4]].concat()[..]] {
        assert!(Hessian::from_bytes(wrong).is_err());
    }
    let mut claims = bytes.clone();
    claims[8..24].fill(0xFF);
    insta::assert_snapshot!(Hessian::from_bytes(&claims).unwrap_err(), @"statistics of inputs: their length is not what the header says");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Hessian::from_bytes(&bytes);
        let mark = b"EFHESS01".iter().zip(&mut bytes);
        mark.for_each(|(mark, byte)| *byte = *mark);
        let _ = Hessian::from_bytes(&bytes);
    }
}

#[test]
fn a_factor_gives_the_matrix_back() {
    for cols in [1, 5, 63, 64, 65, 130, 200] {
        let matrix = hessian(3 * cols, cols, 0).dense(0);
        let damping = 0.01;
        let factor = Factor::new(&matrix, damping).unwrap();
        let mut unit = factor.feedback.map(f64::from);
        for j in 0..cols {
            unit.column_mut(j).rows_range_mut(j..).fill(0.0);
            unit[(j, j)] = 1.0;
        }
        let costs = DMatrix::from_diagonal(&nalgebra::DVector::from_iterator(
            cols,
            factor.costs.iter().map(|&cost| f64::from(cost)),
        ));
        let again = &unit * costs * unit.transpose();
        let mut expected = matrix.map(f64::from);
        let added = f64::from(damping) * expected.diagonal().mean();
        for i in 0..cols {
            expected[(i, i)] += added;
        }
        assert!((again - &expected).amax() < 1e-4 * expected.amax(), "{cols}");
    }
}

#[test]
fn what_is_not_positive_has_no_factor() {
    let mut matrix = DMatrix::<f32>::identity(3, 3);
    matrix[(1, 1)] = f32::NAN;
    assert!(Factor::new(&matrix, 0.01).is_none());
    // Columns that never saw an input are damped alone.
    assert!(Factor::new(&DMatrix::zeros(3, 3), 0.01).is_some());
    let mut matrix = DMatrix::<f32>::identity(3, 3);
    matrix[(1, 1)] = 0.0;
    assert!(Factor::new(&matrix, 0.01).is_some());
}
