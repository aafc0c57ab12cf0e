use proptest::prelude::*;

use super::sample::Sample;
use super::search::{best, scales};
use crate::transform::random::Random;
use crate::transform::tests::round4;

fn sample(seed: u64, squares: &[Option<f32>]) -> Sample {
    let columns = squares.len();
    let mut random = Random::new(seed);
    Sample {
        weight: "w".into(),
        columns,
        rows: (0..6 * columns).map(|_| random.gaussian() as f32).collect(),
        channels: (0..columns).collect(),
        importance: squares.iter().map(|square| square.unwrap()).collect(),
        share: 2.0,
    }
}

proptest! {
    #[test]
    fn the_error_never_grows(seed: u64, squares in prop::collection::vec(0f32..1e6, 1..40)) {
        let squares: Vec<_> = squares.into_iter().map(Some).collect();
        let round = |_: &str, rows: &[f32], columns, _: &[f32]| Ok(round4(rows, columns, 16));
        let best = best(&[sample(seed, &squares)], &squares, 20, &round).unwrap();
        prop_assert!(best.after <= best.before);
        prop_assert!((0.0..=1.0).contains(&best.alpha));
    }

    #[test]
    fn scales_are_positive_and_lie_around_one(
        squares in prop::collection::vec(prop::option::of(0f32..1e9), 1..40),
        alpha in 0f32..=1.0,
    ) {
        prop_assume!(squares.iter().flatten().any(|&square| square > 1e-20));
        let scales = scales(&squares, alpha);
        prop_assert!(scales.iter().all(|scale| scale.is_finite() && *scale > 0.0));
        let seen = || squares.iter().zip(&scales).filter(|(s, _)| s.is_some()).map(|(_, s)| *s);
        let (least, most) = (seen().fold(f32::MAX, f32::min), seen().fold(0.0, f32::max));
        prop_assert!((least * most - 1.0).abs() < 1e-2);
        prop_assert!(squares.iter().zip(&scales).all(|(s, scale)| s.is_some() || *scale == 1.0));
    }
}

#[test]
fn what_is_rounded_to_another_length_is_an_error() {
    let round = |_: &str, _: &[f32], _: usize, _: &[f32]| Ok(Vec::new());
    assert!(best(&[sample(1, &[Some(1.0); 4])], &[Some(1.0); 4], 2, &round).is_err());
}
