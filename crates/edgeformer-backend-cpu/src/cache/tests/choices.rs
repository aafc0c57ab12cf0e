//! Options: what they come to, and which exclude each other.

use std::sync::Arc;

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{
    CacheFormat, Eviction, EvictionPolicy, HeadWindows, KvCache, SessionOptions, Window,
};

use super::{LATENT, WINDOW, cache, open, options};

const HEADS: SlotPlan = SlotPlan::KeyValue { heads: 2, key_dim: 64, value_dim: 64, window: None };

fn refusal(slots: &[SlotPlan], change: impl Fn(&mut SessionOptions)) -> String {
    let mut options = options(64, 1, 8, 4);
    change(&mut options);
    open(&CachePlan { slots: slots.to_vec() }, &options, 7).err().unwrap().to_string()
}

#[test]
fn what_excludes_each_other_is_named() {
    insta::assert_snapshot!(refusal(&[HEADS], |o| o.cache_type_v = CacheFormat::Q4_0H), @"configuration: cache_type_v is q4_0h: values are summed up and cannot be rotated; use q4_0");
    insta::assert_snapshot!(refusal(&[LATENT], |o| o.cache_type_k = CacheFormat::Q8_0), @"configuration: q8_0 needs rows of a multiple of 8 elements, the keys of layer 0 are 4 + 2 wide: use f16 or f32");
    let eviction = Some(Eviction { policy: EvictionPolicy::SnapKv, keep: 8 });
    insta::assert_snapshot!(
        refusal(&[HEADS], |o| { o.visibility.eviction = eviction; o.visibility.attend_pages = Some(1) }), @"configuration: visibility.eviction and visibility.attend_pages exclude each other: leave one of them out");
    insta::assert_snapshot!(
        refusal(&[HEADS], |o| { o.visibility.eviction = eviction; o.cache_type_k = CacheFormat::Q4_0 }), @"configuration: visibility.eviction and a quantized cache_type_k exclude each other: leave one of them out");
    insta::assert_snapshot!(refusal(&[HEADS], |o| o.tiers.cold = Some(CacheFormat::Q4_0)), @"configuration: tiers.cold is set and tiers.budget is not: set the bytes that pages may take");
    insta::assert_snapshot!(refusal(&[HEADS], |o| o.visibility.window = Window::Tokens(0)), @"configuration: visibility.window is 0, it must be at least 1");
}

#[test]
fn tables_of_windows_fit_the_model() {
    let with = |slots: &[Vec<Option<usize>>]| {
        Window::Heads(Arc::new(HeadWindows { slots: slots.to_vec() }))
    };
    insta::assert_snapshot!(refusal(&[HEADS], |o| o.visibility.window = with(&[])), @"configuration: the table of windows is for 0 layers, the model caches in 1: tune the windows with this model");
    insta::assert_snapshot!(refusal(&[HEADS], |o| o.visibility.window = with(&[vec![None; 3]])), @"configuration: the table of windows has 3 heads in layer 0, whose 2 key-value heads ask for a multiple of that: tune the windows with this model");

    // By query head: two of each key-value head, the larger counts, in whole pages.
    let table = [vec![Some(3), Some(5), Some(9), None], vec![Some(2)], vec![Some(6), None]];
    let mut options = options(64, 1, 8, 4);
    options.visibility.window = with(&table);
    let cache = cache(&[HEADS, WINDOW, LATENT], &options);
    let window = |slot, head| cache.window(CacheSlot(slot), head);
    assert_eq!([window(0, 0), window(0, 1)], [Some(8), None]);
    assert_eq!(window(1, 0), Some(4), "narrower than the model's 5");
    assert_eq!(window(2, 0), None);
    assert_eq!(cache.layout.groups.len(), 3);
}

#[test]
fn streams_with_sinks_have_no_end() {
    let mut options = options(32, 1, 8, 4);
    options.visibility.window = Window::Tokens(12);
    options.visibility.sinks = 3;
    let mut cache = cache(&[HEADS, LATENT], &options);
    let seq = cache.create().unwrap();
    for _ in 0..1000 {
        cache.reserve(&[(seq, 8)]).unwrap();
        cache.commit();
        assert!(cache.usage().bytes_used <= cache.usage().bytes_limit);
    }
    assert_eq!(cache.len(seq), 8000);
    assert!(cache.usage().pages_used <= 2 * 7, "{:?}", cache.usage());
}

#[test]
fn queries_are_asked_for_in_the_keys_terms() {
    let mut options = options(32, 1, 8, 4);
    let latent = SlotPlan::Latent { rank: 48, rope_dim: 8 };
    let facts = |options: &SessionOptions| {
        let cache = cache(&[HEADS, latent], options);
        [0, 1].map(|slot| (cache.key_block(CacheSlot(slot)), cache.rotation(CacheSlot(slot))))
    };
    assert_eq!(facts(&options), [(None, None); 2]);
    options.cache_type_k = CacheFormat::Q8_0;
    assert_eq!(facts(&options), [(Some(32), None), (Some(8), None)]);
    options.cache_type_k = CacheFormat::Q4_0H;
    assert_eq!(facts(&options), [(Some(32), Some(64)), (Some(8), Some(8))]);
}

#[test]
fn memory_goes_back_when_it_is_asked_to() {
    let mut cache = cache(&[HEADS], &options(4096, 1, 512, 64));
    let seq = cache.create().unwrap();
    for _ in 0..8 {
        cache.reserve(&[(seq, 512)]).unwrap();
        cache.commit();
    }
    assert_eq!(cache.trim(), 0, "everything is in use");
    let bytes = cache.usage().bytes_used;
    cache.remove(seq);
    assert_eq!(cache.trim(), bytes);
    let again = cache.create().unwrap();
    cache.reserve(&[(again, 512)]).unwrap();
}
