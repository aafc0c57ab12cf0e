//! Which tensor gets which format, so that little is lost and all of it fits.
//!
//! A multiple-choice knapsack: of the offers for each tensor one is taken, the bytes of all stay
//! within a budget, and the sum of what they cost (divergence, as far as it was measured or
//! estimated) is least.
//!
//! - `table`: dynamic programming over the budget in equal steps; exact where a step is a byte
//! - `slope`: the best exchanges first, as the relaxed problem has it; its value bounds every choice

mod slope;
mod table;

use edgeformer_core::Format;

/// One way to store a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// The format.
    pub format: Format,
    /// What it takes.
    pub bytes: u64,
    /// What it costs: of all tensors together as little as possible.
    pub cost: f64,
}

/// A choice of offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// By tensor, which of its offers.
    pub picks: Vec<usize>,
    /// Bytes of them all.
    pub bytes: u64,
    /// What they cost together.
    pub cost: f64,
    /// What no choice within the budget can be cheaper than.
    pub bound: f64,
}

impl Allocation {
    fn of(tensors: &[Vec<Offer>], picks: Vec<usize>, bound: f64) -> Self {
        let picked = || picks.iter().zip(tensors).map(|(&pick, offers)| offers[pick]);
        let (bytes, cost) =
            (picked().map(|offer| offer.bytes).sum(), picked().map(|offer| offer.cost).sum());
        Self { picks, bytes, cost, bound }
    }
}

/// The cheapest choice within `budget` bytes that was found; `None` if even the smallest offers
/// do not fit, or a tensor has none.
pub fn allocate(tensors: &[Vec<Offer>], budget: u64) -> Option<Allocation> {
    let (by_slope, bound) = slope::solve(tensors, budget)?;
    let by_slope = Allocation::of(tensors, by_slope, bound);
    let by_table = table::solve(tensors, budget);
    let by_table = by_table.map(|picks| Allocation::of(tensors, picks, bound));
    match by_table {
        Some(by_table) if by_table.cost < by_slope.cost => Some(by_table),
        _ => Some(by_slope),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(bytes: u64, cost: f64) -> Offer {
        Offer { format: Format::Q4_0, bytes, cost }
    }

    /// The cheapest choice of all.
    fn plainly(tensors: &[Vec<Offer>], budget: u64) -> Option<f64> {
        let Some((first, rest)) = tensors.split_first() else { return Some(0.0) };
        let fits = first.iter().filter(|offer| offer.bytes <= budget);
        let costs =
            fits.filter_map(|offer| Some(offer.cost + plainly(rest, budget - offer.bytes)?));
        costs.reduce(f64::min)
    }

    #[test]
    fn bytes_go_where_they_matter() {
        let dull = vec![offer(4, 1.0), offer(8, 0.9)];
        let keen = vec![offer(4, 10.0), offer(8, 1.0)];
        let found = allocate(&[dull, keen], 12).unwrap();
        assert_eq!((found.picks, found.bytes, found.cost), (vec![0, 1], 12, 2.0));
    }

    #[test]
    fn what_cannot_fit_is_told() {
        assert_eq!(allocate(&[vec![offer(4, 0.0)], vec![offer(5, 0.0)]], 8), None);
        assert_eq!(allocate(&[vec![]], 8), None);
    }

    fn problems() -> impl Strategy<Value = (Vec<Vec<Offer>>, u64)> {
        let offers = prop::collection::vec((1u64..40, 0.0..10.0f64), 1..5);
        let offers = offers.prop_map(|all| all.into_iter().map(|(b, c)| offer(b, c)).collect());
        (prop::collection::vec(offers, 1..6), 5u64..160)
    }

    proptest! {
        #[test]
        fn small_problems_are_solved_exactly((tensors, budget) in problems()) {
            let found = allocate(&tensors, budget);
            let best = plainly(&tensors, budget);
            prop_assert_eq!(found.is_some(), best.is_some());
            if let (Some(found), Some(best)) = (found, best) {
                prop_assert!((found.cost - best).abs() < 1e-9, "{} {best}", found.cost);
                prop_assert!(found.bytes <= budget);
                prop_assert!(found.bound <= best + 1e-9, "bound {} {best}", found.bound);
            }
        }

        #[test]
        fn large_ones_stay_near_the_bound((tensors, budget) in problems(), scale in 1000u64..100_000) {
            let scaled = |offer: &Offer| Offer { bytes: offer.bytes * scale, ..*offer };
            let large: Vec<Vec<Offer>> =
                tensors.iter().map(|offers| offers.iter().map(scaled).collect()).collect();
            let budget = budget * scale;
            if let Some(found) = allocate(&large, budget) {
                prop_assert!(found.bytes <= budget && found.bound <= found.cost + 1e-9);
                // A step of the table is a small part of the budget.
                let slack = budget - budget * tensors.len() as u64 / (1 << 14) - tensors.len() as u64;
                if let Some(best) = plainly(&large, slack) {
                    prop_assert!(found.cost <= best + 1e-9);
                }
            }
        }
    }
}
