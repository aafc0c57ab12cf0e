//! What a percentile of latency is worth after a number of queries.
//!
//! Each query is over the (unknown) `p`-percentile with probability `1 - p`. If of `n` queries the
//! `t` slowest are taken away, the slowest that is left is below the percentile only if at most
//! `t` queries were over it; for small `t` that is unlikely. The estimate takes away as many as
//! it can while that chance stays below 1 % (`1 -` [`CONFIDENCE`]), and so lies above the
//! percentile with 99 % confidence: high after few queries, close after many. It is LoadGen's
//! early stopping estimate (`loadgen/early_stopping.cc`, with tolerance 0), whose regularized beta
//! function is the sum of binomial probabilities that is computed here.

use serde::{Deserialize, Serialize};

/// How sure an estimate is.
pub const CONFIDENCE: f64 = 0.99;

/// A percentile that is not exceeded, with [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The percentile, 0 to 1.
    pub percentile: f64,
    /// What it is at most.
    pub value: f64,
    /// Queries above it: those that were taken away.
    pub discarded: usize,
}

/// How many of `queries` may be over the percentile `p` so that so few, or fewer, would be an
/// accident of less than 1 %. `None` if there are too few queries even for none.
pub fn discardable(queries: usize, p: f64) -> Option<usize> {
    let odds = ((1.0 - p) / p).ln();
    // The logarithm of the chance that exactly `over` queries are over; all of them are added up.
    let mut exactly = queries as f64 * p.ln();
    let mut at_most = exactly.exp();
    let mut found = None;
    for over in 0..queries {
        if at_most >= 1.0 - CONFIDENCE {
            break;
        }
        found = Some(over);
        exactly += ((queries - over) as f64 / (over + 1) as f64).ln() + odds;
        at_most += exactly.exp();
    }
    found
}

/// Queries from which on there is an estimate: LoadGen wants one query that may be over.
pub fn least_queries(p: f64) -> usize {
    // As many as `p` asks for at least once, then the few more that the confidence does.
    (1..).find(|&queries| discardable(queries, p) >= Some(1)).unwrap_or(usize::MAX)
}

/// The early stopping estimate of a percentile; `None` of fewer than [`least_queries`].
pub fn estimate(latencies: &[f64], percentile: f64) -> Option<Estimate> {
    let over = discardable(latencies.len(), percentile).filter(|&over| over >= 1)?;
    let mut sorted = latencies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let value = sorted[sorted.len() - over];
    Some(Estimate { percentile, value, discarded: over - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Figures that LoadGen printed: "Processed at least 64 queries (2048). Would discard 172".
    #[test]
    fn loadgen_s_own_figures_come_out() {
        assert_eq!((least_queries(0.9), least_queries(0.99)), (64, 662));
        for (queries, percentile, discarded) in [
            (64, 0.9, 0),
            (2048, 0.9, 172),
            (2116, 0.9, 178),
            (2145, 0.9, 181),
            (7469, 0.9, 685),
            (662, 0.99, 0),
            (1_179_125, 0.99, 11_539),
            (2_091_550, 0.99, 20_579),
        ] {
            assert_eq!(discardable(queries, percentile), Some(discarded + 1), "{queries}");
        }
    }

    #[test]
    fn few_queries_say_nothing() {
        assert_eq!(discardable(0, 0.9), None);
        assert_eq!(estimate(&[1.0; 63], 0.9), None);
        assert_eq!(estimate(&[1.0; 64], 0.9).map(|found| found.value), Some(1.0));
        assert_eq!(estimate(&[1.0; 661], 0.99), None);
    }

    /// Binomial coefficients by Pascal's triangle, to compare with.
    fn chance_of_at_most(queries: usize, over: usize, p: f64) -> f64 {
        let mut chances = vec![1.0];
        for _ in 0..queries {
            let mut next = vec![0.0; chances.len() + 1];
            for (count, chance) in chances.iter().enumerate() {
                next[count] += chance * p;
                next[count + 1] += chance * (1.0 - p);
            }
            chances = next;
        }
        chances[..=over].iter().sum()
    }

    proptest! {
        #[test]
        fn as_many_are_discarded_as_the_confidence_allows(queries in 1..300usize, p in 0.5..0.995f64) {
            match discardable(queries, p) {
                None => prop_assert!(chance_of_at_most(queries, 0, p) >= 0.01 - 1e-9),
                Some(over) => {
                    prop_assert!(chance_of_at_most(queries, over, p) < 0.01 + 1e-9);
                    if over + 1 < queries {
                        prop_assert!(chance_of_at_most(queries, over + 1, p) >= 0.01 - 1e-9);
                    }
                }
            }
        }

        #[test]
        fn more_queries_allow_no_fewer(queries in 1..5000usize, p in 0.5..0.995f64) {
            prop_assert!(discardable(queries + 1, p) >= discardable(queries, p));
        }

        #[test]
        fn estimates_are_latencies_at_or_above_the_percentile(
            latencies in prop::collection::vec(1e-3..1e3f64, 64..400),
        ) {
            let found = estimate(&latencies, 0.9).expect("64 are enough");
            prop_assert!(latencies.contains(&found.value));
            let above = latencies.iter().filter(|&&latency| latency > found.value).count();
            prop_assert!(above <= found.discarded);
            prop_assert!((above as f64) < 0.1 * latencies.len() as f64);
        }
    }

    /// Of a thousand runs with known latencies about one in a hundred may be wrong.
    #[test]
    fn estimates_are_as_sure_as_they_say() {
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let low = (0..1000).filter(|_| {
            let latencies: Vec<f64> = (0..256).map(|_| uniform()).collect();
            estimate(&latencies, 0.9).expect("256 are enough").value < 0.9
        });
        let low = low.count();
        assert!(low <= 20, "{low} of 1000 estimates are below the percentile");
    }
}
