use edgeformer_core::{AttentionMass, HeadWindows};
use serde::Serialize;

/// The smallest windows that hold `share` of each head's attention beyond the sinks.
///
/// `measured` is the longest distance plus one that queries could look back. A head whose window
/// would be longer than half of it is a retrieval head: it stays global (`None`).
pub fn windows(mass: &AttentionMass, share: f64, measured: usize) -> HeadWindows {
    let slots = mass
        .slots
        .iter()
        .map(|slot| {
            let window = |head| head_window(slot.head(head), share, measured);
            (0..slot.heads).map(window).collect()
        })
        .collect();
    HeadWindows { slots }
}

/// The smallest window of one head, `None` if it is more than half of what was measured.
fn head_window(by_distance: &[f64], share: f64, measured: usize) -> Option<usize> {
    let wanted = share * by_distance.iter().sum::<f64>();
    let mut held = 0.0;
    let reaches = |&mass: &f64| {
        held += mass;
        held >= wanted
    };
    // Rounding may leave the sum of all short of the share of the sum.
    let last = by_distance.iter().position(reaches).unwrap_or(by_distance.len().saturating_sub(1));
    Some(last + 1).filter(|window| window * 2 <= measured)
}

/// The windows of one slot in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SlotSummary {
    /// The cache slot.
    pub slot: usize,
    /// Query heads.
    pub heads: usize,
    /// Of these, heads that stay global.
    pub global: usize,
    /// The smallest window, if any head has one.
    pub least: Option<usize>,
    /// The median window.
    pub median: Option<usize>,
    /// The largest window.
    pub most: Option<usize>,
}

/// A line for every slot.
pub fn summarise(windows: &HeadWindows) -> Vec<SlotSummary> {
    windows
        .slots
        .iter()
        .enumerate()
        .map(|(slot, heads)| {
            let mut sorted: Vec<usize> = heads.iter().copied().flatten().collect();
            sorted.sort_unstable();
            SlotSummary {
                slot,
                heads: heads.len(),
                global: heads.len() - sorted.len(),
                least: sorted.first().copied(),
                median: sorted.get(sorted.len() / 2).copied(),
                most: sorted.last().copied(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use edgeformer_core::SlotMass;
    use proptest::prelude::*;

    use super::*;

    fn mass(heads: &[&[f64]]) -> AttentionMass {
        let by_distance = heads.concat();
        AttentionMass { slots: vec![SlotMass { heads: heads.len(), by_distance }] }
    }

    #[test]
    fn a_window_holds_the_share_and_not_a_token_more() {
        let near = [0.5, 0.25, 0.125, 0.125, 0., 0., 0., 0.];
        let mass = mass(&[&near]);
        assert_eq!(windows(&mass, 0.5, 8).slots, [[Some(1)]]);
        assert_eq!(windows(&mass, 0.75, 8).slots, [[Some(2)]]);
        assert_eq!(windows(&mass, 0.8, 8).slots, [[Some(3)]]);
        assert_eq!(windows(&mass, 1.0, 8).slots, [[Some(4)]]);
    }

    #[test]
    fn retrieval_heads_stay_global() {
        let near = [1., 0., 0., 0., 0., 0., 0., 0.];
        let even = [0.125; 8];
        let mass = mass(&[&near, &even]);
        let found = windows(&mass, 0.9, 8);
        assert_eq!(found.slots, [[Some(1), None]]);
        let summary = &summarise(&found)[0];
        assert_eq!((summary.heads, summary.global), (2, 1));
        assert_eq!((summary.least, summary.median, summary.most), (Some(1), Some(1), Some(1)));
    }

    #[test]
    fn half_is_of_what_was_measured_not_of_the_room() {
        let far = [0., 0., 1., 0., 0., 0., 0., 0.];
        assert_eq!(windows(&mass(&[&far]), 0.9, 8).slots, [[Some(3)]]);
        assert_eq!(windows(&mass(&[&far]), 0.9, 5).slots, [[None]]);
    }

    #[test]
    fn a_head_that_looks_at_sinks_alone_needs_itself() {
        assert_eq!(windows(&mass(&[&[0.0; 4]]), 0.9, 4).slots, [[Some(1)]]);
        assert!(windows(&AttentionMass::default(), 0.9, 4).slots.is_empty());
    }

    proptest! {
        #[test]
        fn equals_adding_up(by_distance in proptest::collection::vec(0.0..1.0f64, 1..40), share in 0.01..1.0f64) {
            let total: f64 = by_distance.iter().sum();
            let plain = (1..=by_distance.len())
                .find(|&window| by_distance[..window].iter().sum::<f64>() >= share * total);
            let found = windows(&mass(&[&by_distance]), share, 2 * by_distance.len());
            prop_assert_eq!(found.slots[0][0], plain);
        }
    }
}
