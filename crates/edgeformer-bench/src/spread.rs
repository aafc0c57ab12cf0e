use serde::{Deserialize, Serialize};

/// A quantity that was measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// How often it was measured.
    pub count: usize,
}

impl Spread {
    /// Of some measurements; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: (lower + upper) / 2.0, least, most, count: sorted.len() })
    }

    /// Half of the way from the least to the most, relative to the median: the `r` of
    /// `median ± r`.
    pub fn relative(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.most - self.least) / 2.0 / self.median.abs() }
    }
}

/// The value below which a share of all values lies (nearest rank); `None` of no values.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians_lie_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((even.median, even.least, even.most, even.count), (2.5, 1.0, 4.0, 4));
        assert_eq!(even.relative(), 0.6);
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
    }
}
