//! Saved sequences that must be refused.

use edgeformer_core::graph::{CachePlan, CacheSlot};
use edgeformer_core::{CacheFormat, KvCache, Rows, SessionOptions};
use proptest::prelude::*;

use super::{FULL, LATENT, WINDOW, cache, open, options};
use crate::cache::PagedCache;

/// A saved sequence of 11 tokens in three slots.
fn saved(options: &SessionOptions) -> (PagedCache, Vec<u8>) {
    let mut cache = cache(&[FULL, WINDOW, LATENT], options);
    let seq = cache.create().unwrap();
    for first in 0..11 {
        cache.reserve(&[(seq, 1)]).unwrap();
        let row = |width: usize| (0..width).map(|i| (first * 10 + i) as f32).collect::<Vec<_>>();
        for (slot, (keys, values)) in [(6, 4), (2, 2), (6, 0)].into_iter().enumerate() {
            let (key, value) = (row(keys), row(values.max(1)));
            let values = (values > 0).then(|| Rows::new(&value, values));
            cache.store(CacheSlot(slot as u32), seq, first, Rows::new(&key, keys), values);
        }
        cache.commit();
    }
    let mut bytes = Vec::new();
    cache.export(seq, &mut bytes).unwrap();
    (cache, bytes)
}

fn refusal(cache: &mut PagedCache, bytes: &[u8]) -> String {
    let before = cache.usage();
    let error = cache.import(&mut &bytes[..]).expect_err("damaged data are refused");
    assert_eq!(cache.usage(), before, "a refused import changes nothing");
    error.to_string()
}

#[test]
fn foreign_data_are_refused_with_the_reason() {
    let options = options(32, 2, 8, 4);
    let (mut own, bytes) = saved(&options);
    let plan = CachePlan { slots: vec![FULL, WINDOW, LATENT] };

    insta::assert_snapshot!(refusal(&mut own, b"GGUF, not a saved sequence"), @"saved sequence: this is no saved sequence: it does not begin with EFKVSEQ");
    insta::assert_snapshot!(refusal(&mut own, &bytes[..100]), @"saved sequence: it ends too early: it is truncated");

    let mut model = open(&plan, &options, 8).unwrap();
    insta::assert_snapshot!(refusal(&mut model, &bytes), @"saved sequence: it was saved with another model; load the model it belongs to");

    let half = SessionOptions { cache_type_v: CacheFormat::F16, ..options.clone() };
    let mut half = open(&plan, &half, 7).unwrap();
    insta::assert_snapshot!(refusal(&mut half, &bytes), @r#"saved sequence: it was saved with the cache options "k=f32 v=f32", this session has "k=f32 v=f16"; open it with the same options"#);

    let short = SessionOptions { context: 10, ..options };
    let mut short = open(&plan, &short, 7).unwrap();
    insta::assert_snapshot!(refusal(&mut short, &bytes), @"saved sequence: it holds 11 tokens, the session was opened for 10: raise the context length");
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let (_, mut bytes) = saved(&options(1 << 20, 1, 8, 1));
    bytes[35..43].copy_from_slice(&(1u64 << 20).to_le_bytes());
    let mut fresh = cache(&[FULL, WINDOW, LATENT], &options(1 << 20, 1, 8, 1));
    insta::assert_snapshot!(refusal(&mut fresh, &bytes), @"saved sequence: it ends too early: it is truncated");
    assert!(fresh.pools.all[0].allocated() <= 16);
}

proptest! {
    #[test]
    fn every_flipped_bit_and_every_cut_is_found(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (mut cache, mut bytes) = saved(&options(32, 2, 8, 4));
        refusal(&mut cache, &bytes[..at.index(bytes.len())]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        refusal(&mut cache, &bytes);
    }
}
