//! The cache against a plain model of itself: every row of every sequence in a vector.

mod model;
mod plain;
mod properties;
mod saved;

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{CacheFormat, Error, KvCache, Result, Rows, SessionOptions};

use super::PagedCache;
use crate::kernels::{Isa, Kernels};

const FULL: SlotPlan = SlotPlan::KeyValue { heads: 2, key_dim: 3, value_dim: 2, window: None };
const WINDOW: SlotPlan = SlotPlan::KeyValue { heads: 1, key_dim: 2, value_dim: 2, window: Some(5) };
const LATENT: SlotPlan = SlotPlan::Latent { rank: 4, rope_dim: 2 };

fn options(context: usize, sequences: usize, chunk: usize, page_tokens: usize) -> SessionOptions {
    SessionOptions {
        context,
        sequences,
        chunk,
        page_tokens,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        ..SessionOptions::default()
    }
}

fn cache(slots: &[SlotPlan], options: &SessionOptions) -> PagedCache {
    open(&CachePlan { slots: slots.to_vec() }, options, 7).unwrap()
}

fn open(plan: &CachePlan, options: &SessionOptions, fingerprint: u64) -> Result<PagedCache> {
    PagedCache::new(plan, options, fingerprint, Kernels::for_isa(Isa::best()))
}

#[test]
fn pages_appear_as_they_are_needed_and_are_counted_over_layers() {
    let mut cache = cache(&[FULL, FULL, LATENT], &options(100, 2, 16, 4));
    let seq = cache.create().unwrap();
    assert_eq!(cache.usage().bytes_used, 0);
    cache.reserve(&[(seq, 5)]).unwrap();
    cache.commit();
    let usage = cache.usage();
    // Of four tokens of 6 and 4 floats, 6 and 4, 6: every part is a multiple of 64 bytes.
    let page = 2 * (128 + 64) + 128;
    assert_eq!(usage.bytes_used, 2 * page);
    assert_eq!(usage.bytes_resident, 2 * page);
    assert_eq!(usage.pages_used, 2 * 3);
    assert_eq!(usage.bytes_limit, 2 * 25 * page);
}

#[test]
fn latents_take_rank_and_rope_dim_and_nothing_else() {
    let plan = CachePlan { slots: vec![SlotPlan::Latent { rank: 512, rope_dim: 64 }] };
    let (total, token) = PagedCache::footprint(&plan, &SessionOptions::default()).unwrap();
    assert_eq!(token, (512 + 64) * 2);
    assert_eq!(total, token * 4096);
}

#[test]
fn a_window_holds_the_same_memory_at_any_length() {
    let options = options(1 << 20, 1, 3, 4);
    let mut cache = cache(&[WINDOW], &options);
    let seq = cache.create().unwrap();
    for _ in 0..10_000 {
        cache.reserve(&[(seq, 3)]).unwrap();
        cache.commit();
        assert!(cache.usage().pages_used <= 3, "{:?}", cache.usage());
    }
    assert_eq!(cache.len(seq), 30_000);
    assert_eq!(cache.usage().bytes_limit, 3 * 2 * 64);
}

#[test]
fn the_last_step_can_be_truncated_away_under_a_window() {
    let mut cache = cache(&[WINDOW], &options(100, 1, 8, 1));
    let seq = cache.create().unwrap();
    for _ in 0..5 {
        cache.reserve(&[(seq, 8)]).unwrap();
        cache.commit();
    }
    cache.truncate(seq, 32).unwrap();
    let error = cache.truncate(seq, 31).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"step: sequence 0 cannot be truncated to 31 of its 32 tokens: a layer with a window of 5 has released positions before 28; truncate to 0, or fork before going on");
    cache.truncate(seq, 0).unwrap();
    assert_eq!(cache.usage().pages_used, 0);
}

#[test]
fn steps_that_do_not_fit_say_why() {
    let mut cache = cache(&[FULL], &options(8, 1, 8, 4));
    let (a, b) = (cache.create().unwrap(), cache.create().unwrap());
    let mut refused = |spans: &[_]| cache.reserve(spans).unwrap_err();
    assert!(matches!(refused(&[(a, 9)]), Error::ContextFull { needed: 9, limit: 8, .. }));
    assert!(matches!(refused(&[(a, 4), (b, 5)]), Error::CacheFull { needed: 3, free: 2 }));
    assert!(matches!(refused(&[(a, 1), (a, 1)]), Error::Step(_)));
    cache.remove(b);
    assert!(matches!(cache.reserve(&[(a, 1), (b, 1)]), Err(Error::UnknownSequence(_))));
    assert_eq!(cache.usage().pages_used, 0);
}

#[test]
fn encoders_have_sequences_of_length_zero() {
    let mut cache = cache(&[], &options(8, 1, 8, 4));
    let seq = cache.create().unwrap();
    cache.reserve(&[(seq, 100)]).unwrap();
    cache.commit();
    assert_eq!(cache.len(seq), 0);
    assert_eq!(cache.usage().sequences, 1);
}

#[test]
fn zero_is_no_context() {
    let refused = open(&CachePlan::default(), &options(0, 1, 1, 1), 0);
    insta::assert_snapshot!(refused.err().unwrap(), @"configuration: context is 0, it must be at least 1");
}

#[test]
#[should_panic(expected = "reserved")]
fn positions_that_are_not_reserved_cannot_be_stored() {
    let mut cache = cache(&[LATENT], &options(8, 1, 8, 4));
    let seq = cache.create().unwrap();
    cache.store(CacheSlot(0), seq, 0, Rows::new(&[0.0; 6], 6), None);
}
