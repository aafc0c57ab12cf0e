//! MinHash (Broder 1997, "On the resemblance and containment of documents").

use edgeformer_core::random::Random;

/// Permutations of a signature: the estimate's standard error is at most 1/√128 / 2, 0.044.
pub const PERMUTATIONS: usize = 128;

/// A Mersenne prime, larger than what is hashed to.
const PRIME: u64 = (1 << 61) - 1;

/// The least value of a set under each permutation.
pub type Signature = [u32; PERMUTATIONS];

/// Permutations `x -> (a x + b) mod p`, drawn from a seed.
#[derive(Debug, Clone)]
pub struct MinHasher(Vec<(u64, u64)>);

impl MinHasher {
    /// Permutations that a seed gives.
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let mut draw = || (random.draw() % (PRIME - 1) + 1, random.draw() % PRIME);
        Self((0..PERMUTATIONS).map(|_| draw()).collect())
    }

    /// The signature of a set of hashes, which is not empty.
    pub fn signature(&self, set: &[u64]) -> Signature {
        let mut signature = [u32::MAX; PERMUTATIONS];
        for &element in set {
            for (least, &(a, b)) in signature.iter_mut().zip(&self.0) {
                *least = (*least).min(permuted(element, a, b));
            }
        }
        signature
    }

    /// What two signatures say of the Jaccard similarity of their sets.
    pub fn estimate(one: &Signature, other: &Signature) -> f64 {
        let same = one.iter().zip(other).filter(|(one, other)| one == other).count();
        same as f64 / PERMUTATIONS as f64
    }
}

fn permuted(element: u64, a: u64, b: u64) -> u32 {
    let product = u128::from(element % PRIME) * u128::from(a) + u128::from(b);
    // 2^61 = 1 modulo the prime: the halves add up.
    let folded = (product as u64 & PRIME) + (product >> 61) as u64;
    let value = if folded >= PRIME { folded - PRIME } else { folded };
    value as u32
}

/// The Jaccard similarity of two sorted sets: what they share by what they have. Two empty sets
/// are the same.
pub fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let (mut at, mut with, mut shared) = (0, 0, 0usize);
    while at < one.len() && with < other.len() {
        match one[at].cmp(&other[with]) {
            std::cmp::Ordering::Less => at += 1,
            std::cmp::Ordering::Greater => with += 1,
            std::cmp::Ordering::Equal => (at, with, shared) = (at + 1, with + 1, shared + 1),
        }
    }
    let all = one.len() + other.len() - shared;
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn similarity_is_that_of_plain_sets(
            one in prop::collection::btree_set(0u64..40, 0..30),
            other in prop::collection::btree_set(0u64..40, 0..30),
        ) {
            let shared = one.intersection(&other).count();
            let all = one.union(&other).count();
            let expected = if all == 0 { 1.0 } else { shared as f64 / all as f64 };
            let sorted = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
            prop_assert_eq!(jaccard(&sorted(&one), &sorted(&other)), expected);
        }

        /// Six standard errors: the share of matching permutations is binomial.
        #[test]
        fn estimates_are_near_the_similarity(
            shared in 0usize..200, alone in 1usize..200, seed in any::<u64>(),
        ) {
            let mut random = Random::seeded(seed);
            let mut draw = |count: usize| (0..count).map(|_| random.draw()).collect::<Vec<u64>>();
            let (common, one, other) = (draw(shared), draw(alone), draw(alone));
            let set = |own: &[u64]| {
                let mut set = [&common[..], own].concat();
                set.sort_unstable();
                set
            };
            let (one, other) = (set(&one), set(&other));
            let exact = jaccard(&one, &other);
            let hasher = MinHasher::seeded(seed ^ 1);
            let estimate = MinHasher::estimate(&hasher.signature(&one), &hasher.signature(&other));
            let error = (exact * (1.0 - exact) / PERMUTATIONS as f64).sqrt();
            prop_assert!((estimate - exact).abs() <= 6.0 * error + 0.05, "{estimate} {exact}");
        }
    }

    #[test]
    fn permutations_are_exact() {
        for (element, a, b) in [(0, 1, 0), (u64::MAX, PRIME - 1, PRIME - 1), (PRIME, 5, 7)] {
            let expected = (u128::from(element % PRIME) * a as u128 + b as u128) % PRIME as u128;
            assert_eq!(permuted(element, a, b), expected as u32);
        }
    }
}
