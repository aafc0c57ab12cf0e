//! How near is near enough.

use crate::bench::{Stop, ensure};

/// The distance from `expected` over its length: `|found - expected| / |expected|`.
pub fn relative_l2(found: &[f32], expected: &[f64]) -> f64 {
    let sum =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let distance =
        sum(&mut found.iter().zip(expected).map(|(&found, expected)| f64::from(found) - expected));
    let length = sum(&mut expected.iter().copied());
    (distance / length.max(f64::MIN_POSITIVE)).sqrt()
}

/// Fails unless the two are as long and near.
pub(crate) fn near(found: &[f32], expected: &[f64], limit: f64) -> Result<(), Stop> {
    ensure(found.len() == expected.len(), || {
        format!("{} values come back, {} are expected", found.len(), expected.len())
    })?;
    let error = relative_l2(found, expected);
    // Written so that NaN fails.
    ensure(error <= limit, || format!("relative L2 error {error:.2e}, allowed is {limit:.0e}"))
}

/// Fails unless the two are the same numbers, bit for bit.
pub(crate) fn same_bits(found: &[f32], expected: &[f32]) -> Result<(), Stop> {
    ensure(found.len() == expected.len(), || {
        format!("{} values come back, {} are expected", found.len(), expected.len())
    })?;
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    let place = found.iter().zip(expected).position(differs);
    ensure(place.is_none(), || {
        let at = place.unwrap_or_default();
        format!("value {at} is {:?}, it was {:?}", found[at], expected[at])
    })
}

/// The same values, wider.
pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The index of the largest value, and how far the second lies below it.
pub(crate) fn top(values: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    let mut second = f32::NEG_INFINITY;
    for (index, &value) in values.iter().enumerate() {
        if value > best.1 {
            second = best.1;
            best = (index, value);
        } else if value > second {
            second = value;
        }
    }
    (best.0, best.1 - second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_what_is_expected() {
        assert_eq!(relative_l2(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert!((relative_l2(&[3.0, 4.5], &[3.0, 4.0]) - 0.1).abs() < 1e-12);
        assert!(near(&[f32::NAN], &[1.0], 0.5).is_err());
        assert!(near(&[1.0], &[1.0, 2.0], 0.5).is_err());
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_its_margin_zero() {
        assert_eq!(top(&[1.0, 3.0, 2.0]), (1, 1.0));
        assert_eq!(top(&[2.0, 2.0]), (0, 0.0));
    }
}
