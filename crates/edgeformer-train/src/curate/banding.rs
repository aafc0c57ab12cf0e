//! Locality-sensitive hashing of signatures (Leskovec, Rajaraman, Ullman, "Mining of Massive
//! Datasets", section 3.4): sets that agree in all rows of a band are looked at.

use std::collections::HashMap;

use twox_hash::XxHash64;

use super::minhash::{PERMUTATIONS, Signature};

/// A pair of exactly the wanted similarity is missed no more often than this.
const MISSED: f64 = 0.002;

/// Members of a bucket that are looked at though they resemble an earlier one: enough to find
/// what resembles them alone, too few for a million copies to cost a million squared.
const ALIKE: usize = 64;

/// How a signature is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banding {
    /// Bands.
    pub bands: usize,
    /// Rows of a band.
    pub rows: usize,
}

impl Banding {
    /// The banding with the longest bands, hence fewest false candidates, that misses one in five
    /// hundred pairs of this similarity, and fewer of more similar ones.
    pub fn of(threshold: f64) -> Self {
        let missed = |rows: usize| {
            let bands = (PERMUTATIONS / rows) as f64;
            (1.0 - threshold.clamp(0.0, 1.0).powf(rows as f64)).powf(bands)
        };
        let rows = (1..=PERMUTATIONS).rev().find(|&rows| missed(rows) <= MISSED).unwrap_or(1);
        Self { bands: PERMUTATIONS / rows, rows }
    }
}

/// Sets by what their bands hash to.
#[derive(Debug)]
pub(super) struct Buckets {
    banding: Banding,
    /// One map a band.
    buckets: Vec<HashMap<u64, Bucket>>,
}

#[derive(Debug, Default)]
struct Bucket {
    members: Vec<u32>,
    alike: usize,
}

impl Buckets {
    pub fn new(banding: Banding) -> Self {
        let buckets = (0..banding.bands).map(|_| HashMap::new()).collect();
        Self { banding, buckets }
    }

    /// The sets that share a bucket with this one, each once, in order.
    pub fn candidates(&self, signature: &Signature) -> Vec<usize> {
        let keys = self.keys(signature);
        let found = self.buckets.iter().zip(keys).filter_map(|(bucket, key)| bucket.get(&key));
        let mut candidates: Vec<u32> =
            found.flat_map(|bucket| bucket.members.iter().copied()).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().map(|index| index as usize).collect()
    }

    /// Puts a set into its buckets; `alike` if it resembles one that is there.
    pub fn insert(&mut self, index: usize, signature: &Signature, alike: bool) {
        let keys: Vec<u64> = self.keys(signature).collect();
        for (buckets, key) in self.buckets.iter_mut().zip(keys) {
            let bucket = buckets.entry(key).or_default();
            bucket.alike += usize::from(alike);
            if !alike || bucket.alike <= ALIKE {
                bucket.members.push(index as u32);
            }
        }
    }

    fn keys<'a>(&self, signature: &'a Signature) -> impl Iterator<Item = u64> + use<'a> {
        let Banding { bands, rows } = self.banding;
        signature.chunks_exact(rows).take(bands).map(|band| {
            let bytes: Vec<u8> = band.iter().flat_map(|value| value.to_le_bytes()).collect();
            XxHash64::oneshot(0, &bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_as_long_as_the_similarity_allows() {
        assert_eq!(Banding::of(0.8), Banding { bands: 21, rows: 6 });
        assert_eq!(Banding::of(1.0), Banding { bands: 1, rows: 128 });
        assert_eq!(Banding::of(0.0).rows, 1);
        let rows: Vec<usize> =
            (1..=10).map(|tenth| Banding::of(f64::from(tenth) / 10.0).rows).collect();
        assert!(rows.windows(2).all(|pair| pair[0] <= pair[1]), "{rows:?}");
    }

    #[test]
    fn copies_without_end_stay_cheap() {
        let mut buckets = Buckets::new(Banding::of(0.8));
        let signature = [7; PERMUTATIONS];
        (0..1000).for_each(|index| buckets.insert(index, &signature, index > 0));
        assert_eq!(buckets.candidates(&signature), (0..=ALIKE).collect::<Vec<_>>());
    }
}
