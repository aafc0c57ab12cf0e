//! Texts that are nearly the same: MinHash finds candidates, exact similarity decides.

use std::collections::HashMap;

use super::banding::{Banding, Buckets};
use super::judge::Watch;
use super::minhash::{MinHasher, jaccard};
use super::words::{self, shingles};
use crate::Result;

/// What near-duplicates are.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// Jaccard similarity from which on texts are duplicates.
    pub threshold: f64,
    /// Words of a shingle; `None` is 5, or 3 where half of the texts have fewer than 50 words.
    pub shingle: Option<usize>,
    /// What of a record is compared.
    pub compared: Compared,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { threshold: 0.8, shingle: None, compared: Compared::Record }
    }
}

/// What of a record is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compared {
    /// Question and answer.
    #[default]
    Record,
    /// The question alone, where there is one.
    Question,
}

/// A text that is nearly another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duplicate {
    /// The first text of those that are nearly the same.
    pub of: usize,
    /// Jaccard similarity with it. Where a chain of others leads there, it may be below the
    /// threshold.
    pub jaccard: f64,
}

/// For each text the first one that it duplicates, directly or through others; `None` for texts
/// that are the first of their kind.
///
/// # Errors
/// If it was stopped.
pub fn duplicates(
    texts: &[String],
    options: &Duplicates,
    seed: u64,
    watch: &Watch<'_>,
) -> Result<Vec<Option<Duplicate>>> {
    let n = options.shingle.unwrap_or_else(|| usual_shingle(texts));
    let sets: Vec<Vec<u64>> = texts.iter().map(|text| shingles(text, n)).collect();
    let hasher = MinHasher::seeded(seed);
    let mut buckets = Buckets::new(Banding::of(options.threshold));
    let (mut clusters, mut exact) = (Clusters::of(sets.len()), HashMap::new());
    for (index, set) in sets.iter().enumerate() {
        watch.step("looking for duplicates", index, sets.len())?;
        // Copies need no search: whatever resembles them resembles the first.
        let first = *exact.entry(set.as_slice()).or_insert(index);
        if first < index {
            clusters.join(first, index);
            continue;
        }
        let signature = hasher.signature(set);
        let mut alike = false;
        for candidate in buckets.candidates(&signature) {
            let known = clusters.first(candidate) == clusters.first(index);
            if !known && jaccard(&sets[candidate], set) >= options.threshold {
                clusters.join(candidate, index);
                alike = true;
            }
        }
        buckets.insert(index, &signature, alike);
    }
    let duplicate = |index: usize| {
        let of = clusters.first(index);
        (of != index).then(|| Duplicate { of, jaccard: jaccard(&sets[of], &sets[index]) })
    };
    Ok((0..sets.len()).map(duplicate).collect())
}

/// Shorter runs for shorter texts: a changed word changes as many shingles as they have words.
fn usual_shingle(texts: &[String]) -> usize {
    let mut lengths: Vec<usize> = texts.iter().map(|text| words::words(text).len()).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    if median < 50 { 3 } else { 5 }
}

/// Disjoint sets, each named by its first member.
struct Clusters(Vec<usize>);

impl Clusters {
    fn of(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn first(&self, mut index: usize) -> usize {
        while self.0[index] != index {
            index = self.0[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        let first = one.min(other);
        (self.0[one], self.0[other]) = (first, first);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use edgeformer_core::random::Random;

    fn found(texts: &[String], threshold: f64) -> Vec<Option<usize>> {
        let options = Duplicates { threshold, shingle: Some(3), ..Duplicates::default() };
        let found = duplicates(texts, &options, 7, &Watch::default()).unwrap();
        found.into_iter().map(|duplicate| duplicate.map(|duplicate| duplicate.of)).collect()
    }

    /// Every pair compared.
    fn by_brute_force(texts: &[String], threshold: f64) -> Vec<Option<usize>> {
        let sets: Vec<Vec<u64>> = texts.iter().map(|text| shingles(text, 3)).collect();
        let mut clusters = Clusters::of(sets.len());
        for index in 0..sets.len() {
            for before in 0..index {
                if jaccard(&sets[before], &sets[index]) >= threshold {
                    clusters.join(before, index);
                }
            }
        }
        let first = |index: usize| Some(clusters.first(index)).filter(|&first| first != index);
        (0..sets.len()).map(first).collect()
    }

    /// Texts of `length` words; some are copies of earlier ones with the last word changed, so
    /// that one shingle differs.
    fn planted(seed: u64, count: usize, length: usize) -> Vec<String> {
        let mut random = Random::seeded(seed);
        let mut texts: Vec<Vec<String>> = Vec::new();
        for index in 0..count {
            let mut text: Vec<String> =
                (0..length).map(|_| format!("w{}", random.below(1000))).collect();
            if index > 0 && random.below(3) == 0 {
                text = texts[random.below(index)].clone();
                text[length - 1] = format!("changed{index}");
            }
            texts.push(text);
        }
        texts.into_iter().map(|text| text.join(" ")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Planted pairs have a similarity above 0.9, others none to speak of.
        #[test]
        fn all_planted_pairs_are_found(seed in any::<u64>(), count in 2usize..40, length in 42usize..80) {
            let texts = planted(seed, count, length);
            prop_assert_eq!(found(&texts, 0.9), by_brute_force(&texts, 0.9));
            prop_assert_eq!(found(&texts, 0.8), by_brute_force(&texts, 0.8));
        }

        /// Few words make many pairs of all similarities: nothing is found that is none.
        #[test]
        fn what_is_found_is_so(texts in prop::collection::vec("([abc] ){1,8}", 1..20)) {
            let expected = by_brute_force(&texts, 0.8);
            for (found, expected) in found(&texts, 0.8).into_iter().zip(expected) {
                prop_assert!(found.is_none() || expected.is_some());
            }
        }
    }

    #[test]
    fn the_first_is_kept_and_chains_lead_to_it() {
        let words: Vec<String> = (0..40).map(|word| format!("w{word}")).collect();
        let changed = |ats: &[usize]| {
            let mut words = words.clone();
            ats.iter().for_each(|&at| words[at] = format!("x{at}"));
            words.join(" ")
        };
        let texts =
            [changed(&[]), "something else".into(), changed(&[5]), changed(&[5, 30]), changed(&[])];
        assert_eq!(found(&texts, 0.84), [None, None, Some(0), Some(0), Some(0)]);
        let all = Duplicates { threshold: 0.84, shingle: Some(3), ..Duplicates::default() };
        let found = duplicates(&texts, &all, 7, &Watch::default()).unwrap();
        assert_eq!(found[4].unwrap().jaccard, 1.0);
        assert!(found[3].unwrap().jaccard < 0.84, "a chain leads there");
    }

    #[test]
    fn shingles_are_shorter_for_short_texts() {
        assert_eq!(usual_shingle(&["a b c".into()]), 3);
        assert_eq!(usual_shingle(&["a ".repeat(60)]), 5);
        assert_eq!(usual_shingle(&[]), 3);
    }
}
