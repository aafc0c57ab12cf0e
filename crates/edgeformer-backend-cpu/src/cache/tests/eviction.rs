//! Entries that are moved and dropped.

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{Error, Eviction, EvictionPolicy, KvCache, Rows, SequenceId, SessionOptions};
use proptest::prelude::*;

use super::{FULL, LATENT, cache, options};
use crate::cache::PagedCache;
use crate::kernels::KvRows;

/// Heads of [`FULL`] and [`LATENT`]: slot, head, width of a key.
const HEADS: [(u32, usize, usize); 3] = [(0, 0, 3), (0, 1, 3), (1, 0, 6)];

fn evicting(keep: usize, sequences: usize) -> SessionOptions {
    let mut options = options(200, sequences, 8, 4);
    options.visibility.eviction = Some(Eviction { policy: EvictionPolicy::H2o, keep });
    options
}

/// A sequence whose entries are numbers: of each head, those that are left.
#[derive(Clone, Default)]
struct Plain {
    entries: [Vec<f32>; 3],
    len: usize,
}

fn feed(cache: &mut PagedCache, seq: SequenceId, plain: &mut Plain, count: usize) -> bool {
    if cache.reserve(&[(seq, count)]).is_err() {
        return false;
    }
    let value = |index: usize| (plain.len + index) as f32;
    let rows: Vec<f32> = (0..count).flat_map(|index| [value(index); 6]).collect();
    let values: Vec<f32> = (0..count).flat_map(|index| [value(index); 4]).collect();
    let rows = Rows::new(&rows, 6);
    cache.store(CacheSlot(0), seq, plain.len, rows, Some(Rows::new(&values, 4)));
    cache.store(CacheSlot(1), seq, plain.len, rows, None);
    cache.commit();
    for entries in &mut plain.entries {
        entries.extend((0..count).map(value));
    }
    plain.len += count;
    true
}

fn floats(rows: KvRows<'_>) -> &[f32] {
    match rows {
        KvRows::F32 { data, .. } => data,
        other => panic!("{other:?} are no floats"),
    }
}

fn check(cache: &PagedCache, seq: SequenceId, plain: &Plain) {
    for ((slot, head, dim), entries) in HEADS.into_iter().zip(&plain.entries) {
        let slot = CacheSlot(slot);
        let oldest = cache.oldest(slot, head, seq);
        assert_eq!(oldest, plain.len - entries.len());
        let runs = cache.runs(slot, head, seq, oldest..plain.len, plain.len..plain.len + 1);
        let keys: Vec<f32> = runs.clone_keys(dim);
        assert_eq!(&keys, entries);
    }
}

trait Keys {
    fn clone_keys(self, dim: usize) -> Vec<f32>;
}

impl<'a, I: Iterator<Item = crate::cache::KvRun<'a>>> Keys for I {
    /// The first element of every key, which its values have too.
    fn clone_keys(self, dim: usize) -> Vec<f32> {
        let runs = self.flat_map(|run| {
            let keys: Vec<f32> = floats(run.keys).chunks_exact(dim).map(|row| row[0]).collect();
            let values = floats(run.values);
            if !values.is_empty() {
                let values: Vec<f32> = values.chunks_exact(2).map(|row| row[0]).collect();
                assert_eq!(keys, values, "values move with their keys");
            }
            keys
        });
        runs.collect()
    }
}

/// Keeps the entries of each head that `keep` draws.
fn evict(
    cache: &mut PagedCache,
    seq: SequenceId,
    plain: &mut Plain,
    keep: usize,
    seed: u64,
) -> bool {
    for ((slot, head, _), entries) in HEADS.into_iter().zip(&mut plain.entries) {
        let first = plain.len - entries.len();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|&i| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        order.truncate(keep);
        order.sort_unstable();
        let kept: Vec<usize> = order.iter().map(|index| first + index).collect();
        match cache.compact(CacheSlot(slot), head, seq, &kept) {
            Ok(()) => *entries = order.iter().map(|&index| entries[index]).collect(),
            Err(Error::CacheFull { .. }) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    let longest = plain.entries.iter().map(Vec::len).max().unwrap();
    cache.release_front(seq, (plain.len - longest) / 4 * 4);
    true
}

#[test]
fn a_session_that_evicts_never_grows() {
    let mut cache = cache(&[FULL, LATENT], &evicting(12, 1));
    let (seq, mut plain) = (cache.create().unwrap(), Plain::default());
    for round in 0..25 {
        assert!(feed(&mut cache, seq, &mut plain, 8));
        assert!(evict(&mut cache, seq, &mut plain, 12, round));
        check(&cache, seq, &plain);
        assert!(cache.usage().bytes_used <= cache.usage().bytes_limit);
    }
    assert_eq!(plain.len, 200);
    let error = cache.truncate(seq, 150).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"step: sequence 0 cannot be truncated to 150 of its 200 tokens: entries before 188 were evicted or moved; truncate to 0, or fork before going on");
    cache.truncate(seq, 199).unwrap();
    cache.truncate(seq, 0).unwrap();
    assert_eq!(cache.oldest(CacheSlot(0), 0, seq), 0);
}

#[test]
fn without_eviction_nothing_is_moved() {
    let mut cache = cache(&[FULL], &options(16, 1, 8, 4));
    let seq = cache.create().unwrap();
    let error = cache.compact(CacheSlot(0), 0, seq, &[]).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"step: the session was opened without eviction");
}

proptest! {
    #[test]
    fn kept_entries_are_those_of_a_plain_list(
        keep in 1..20usize,
        steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>(), 1..8usize, any::<u64>()), 1..40),
    ) {
        let mut cache = cache(&[FULL, LATENT], &evicting(keep, 3));
        let mut all = vec![(cache.create().unwrap(), Plain::default())];
        for (action, index, count, seed) in steps {
            let index = index.index(all.len());
            let count_all = all.len();
            let (seq, plain) = &mut all[index];
            match action {
                0 | 1 if plain.len + count <= 200 => {
                    feed(&mut cache, *seq, plain, count);
                }
                2 => {
                    evict(&mut cache, *seq, plain, keep, seed);
                }
                3 if count_all < 4 => {
                    let copy = (cache.fork(*seq).unwrap(), plain.clone());
                    all.push(copy);
                }
                _ => {
                    let mut bytes = Vec::new();
                    cache.export(*seq, &mut bytes).unwrap();
                    if let Ok(copy) = cache.import(&mut bytes.as_slice()) {
                        check(&cache, copy, plain);
                        cache.remove(copy);
                    }
                }
            }
            all.iter().for_each(|(seq, plain)| check(&cache, *seq, plain));
        }
    }
}
