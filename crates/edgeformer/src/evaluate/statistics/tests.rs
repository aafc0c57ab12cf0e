use super::*;
use proptest::prelude::*;

fn moments(values: &[f64]) -> Moments {
    let mut moments = Moments::default();
    values.iter().for_each(|&value| moments.add(value));
    moments
}

#[test]
fn moments_are_those_of_pencil_and_paper() {
    let of = moments(&[1.0, 2.0, 3.0, 6.0]);
    assert_eq!((of.count(), of.mean()), (4, 3.0));
    // Squares 50, variance 12.5 - 9 = 3.5.
    assert!((of.standard_error() - (3.5f64 / 3.0).sqrt()).abs() < 1e-12);
    assert!((of.root_mean_square() - 12.5f64.sqrt()).abs() < 1e-12);
    assert_eq!((moments(&[]).mean(), moments(&[5.0]).standard_error()), (0.0, 0.0));
}

#[test]
fn wilson_intervals_are_those_of_the_tables() {
    let Interval { low, high } = wilson(8, 10);
    assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4, "{low} {high}");
    let Interval { low, high } = wilson(10, 10);
    assert!((low - 0.7225).abs() < 1e-4 && high == 1.0, "{low} {high}");
    assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
}

#[test]
fn ten_windows_speak_for_themselves() {
    let alike = |value| moments(&[value; 100]);
    let few: Vec<Moments> = (0..9).map(|window| alike(f64::from(window))).collect();
    let (error, by_windows) = clustered(few.iter());
    let single: Vec<f64> = (0..900).map(|token| f64::from(token / 100)).collect();
    assert!(!by_windows && (error - moments(&single).standard_error()).abs() < 1e-12);
    let many: Vec<Moments> = (0..16).map(|window| alike(f64::from(window))).collect();
    let (error, by_windows) = clustered(many.iter());
    let means: Vec<f64> = (0..16).map(f64::from).collect();
    assert!(by_windows && (error - moments(&means).standard_error()).abs() < 1e-12);
}

#[test]
fn quantiles_are_values_of_that_rank() {
    let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    assert_eq!(quantile(&values, 0.99), Some(198.0));
    assert_eq!(quantile(&values, 1.0), Some(200.0));
    assert_eq!(quantile(&values, 0.0), Some(1.0));
    assert_eq!(quantile(&[], 0.5), None);
}

proptest! {
    #[test]
    fn no_more_than_the_rest_lies_above_a_quantile(
        values in prop::collection::vec(-1e3..1e3f64, 1..60), share in 0.0..=1.0f64,
    ) {
        let at = quantile(&values, share).unwrap();
        let above = values.iter().filter(|&&value| value > at).count() as f64;
        prop_assert!(above <= (1.0 - share) * values.len() as f64 + 1e-9);
    }

    #[test]
    fn two_halves_merged_are_all_at_once(
        values in prop::collection::vec(-1e3..1e3f64, 0..60), cut in 0usize..60,
    ) {
        let cut = cut.min(values.len());
        let mut merged = moments(&values[..cut]);
        merged.merge(&moments(&values[cut..]));
        let whole = moments(&values);
        prop_assert_eq!(merged.count(), whole.count());
        prop_assert!((merged.mean() - whole.mean()).abs() < 1e-9);
        prop_assert!((merged.standard_error() - whole.standard_error()).abs() < 1e-6);
    }

    #[test]
    fn wilson_intervals_hold_the_share(hits in 0u64..500, misses in 0u64..500) {
        prop_assume!(hits + misses > 0);
        let Interval { low, high } = wilson(hits, hits + misses);
        let share = hits as f64 / (hits + misses) as f64;
        prop_assert!(low <= share + 1e-12 && share <= high + 1e-12 && low >= 0.0 && high <= 1.0);
    }

    #[test]
    fn moments_come_back_from_json_bit_by_bit(values in prop::collection::vec(any::<f32>(), 0..9)) {
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value) / 3.0).collect();
        let text = serde_json::to_string(&moments(&values)).unwrap();
        let back: Moments = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.sum.to_bits(), moments(&values).sum.to_bits());
        prop_assert_eq!(back.squares.to_bits(), moments(&values).squares.to_bits());
    }
}
