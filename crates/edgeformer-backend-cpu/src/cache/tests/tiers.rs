//! Budgets: what stays in memory, what goes where, and what is refused.

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{CacheFormat, KvCache, Rows, SessionOptions, Tiers};

use super::{cache, open, options};
use crate::cache::PagedCache;

/// Pages of 4 tokens of 16 + 16 floats: 512 bytes.
const LAYER: SlotPlan = SlotPlan::KeyValue { heads: 1, key_dim: 16, value_dim: 16, window: None };
const PAGE: u64 = 512;

fn spilling(folder: &std::path::Path, budget: u64) -> SessionOptions {
    let tiers = Tiers { budget: Some(budget), cold: None, spill: Some(folder.to_path_buf()) };
    SessionOptions { tiers, ..options(256, 1, 8, 4) }
}

fn feed(cache: &mut PagedCache, slots: u32, tokens: usize) {
    let seq = cache.create().unwrap();
    for first in (0..tokens).step_by(8) {
        cache.reserve(&[(seq, 8)]).unwrap();
        for slot in 0..slots {
            let rows = vec![first as f32; 8 * 16];
            let rows = Rows::new(&rows, 16);
            cache.store(CacheSlot(slot), seq, first, rows, Some(rows));
            cache.fetch(CacheSlot(slot)).unwrap();
            let runs = cache.runs(CacheSlot(slot), 0, seq, 0..first + 8, first + 7..first + 8);
            assert_eq!(runs.map(|run| run.len).sum::<usize>(), first + 8);
        }
        cache.commit();
    }
}

#[test]
fn what_does_not_fit_lies_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [LAYER; 16];
    let budget = 16 * PAGE * 24;
    let mut cache = cache(&layers, &spilling(folder.path(), budget));
    feed(&mut cache, 16, 256);
    let usage = cache.usage();
    assert_eq!(usage.bytes_used, 16 * PAGE * 64);
    assert!(usage.bytes_spilled >= 16 * PAGE * 40, "{usage:?}");
    assert!(usage.bytes_resident <= budget, "{usage:?}");
    let plan = CachePlan { slots: layers.to_vec() };
    let (resident, _) = PagedCache::footprint(&plan, &spilling(folder.path(), budget)).unwrap();
    assert!(resident <= budget, "{resident} bytes planned");
}

#[test]
fn a_budget_that_holds_everything_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = cache(&[LAYER], &spilling(folder.path(), 64 * PAGE));
    feed(&mut cache, 1, 256);
    assert_eq!(cache.usage().bytes_spilled, 0);
}

#[test]
fn budgets_that_are_too_small_name_the_least() {
    let folder = tempfile::tempdir().unwrap();
    let plan = CachePlan { slots: vec![LAYER; 16] };
    let refused = |options: &SessionOptions| open(&plan, options, 7).err().unwrap().to_string();
    insta::assert_snapshot!(refused(&spilling(folder.path(), 1000)), @"configuration: a cache budget of 1000 bytes is too small, 102400 is the least for this context, number of sequences and chunk: raise it, or lower those");
    let cold = |budget| SessionOptions {
        tiers: Tiers { budget: Some(budget), cold: Some(CacheFormat::Q4_0), spill: None },
        ..options(256, 1, 8, 4)
    };
    insta::assert_snapshot!(refused(&cold(1000)), @"configuration: a cache budget of 1000 bytes is too small, 303104 is the least for this context, number of sequences and chunk: raise it, or lower those");
    let alone = Tiers { budget: Some(1000), ..Tiers::default() };
    insta::assert_snapshot!(refused(&SessionOptions { tiers: alone, ..options(256, 1, 8, 4) }), @"configuration: a cache budget of 1000 bytes is too small, 524288 is the least for this context, number of sequences and chunk: raise it, or lower those; or set tiers.cold or tiers.spill");
    for options in [spilling(folder.path(), 1000), cold(1000)] {
        let error = refused(&options);
        let least =
            error.split(' ').find_map(|word| word.parse::<u64>().ok().filter(|&n| n > 1000));
        let fits = |budget| {
            let tiers = Tiers { budget: Some(budget), ..options.tiers.clone() };
            open(&plan, &SessionOptions { tiers, ..options.clone() }, 7).is_ok()
        };
        assert!(fits(least.unwrap()) && !fits(least.unwrap() - 1), "{error}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let plan = CachePlan { slots: vec![LAYER; 16] };
    let error = open(&plan, &spilling(&missing, 16 * PAGE * 24), 7).err().unwrap().to_string();
    assert!(error.contains("missing"), "{error}");
}

#[test]
fn far_pages_are_cold_and_the_budget_holds_them_all() {
    let tiers = |budget| Tiers { budget: Some(budget), cold: Some(CacheFormat::Q4_0), spill: None };
    let budget = 16 * PAGE * 44;
    let options = SessionOptions { tiers: tiers(budget), ..options(256, 1, 8, 4) };
    let mut cache = cache(&[LAYER; 16], &options);
    feed(&mut cache, 16, 256);
    let usage = cache.usage();
    assert!(usage.bytes_used <= budget && usage.bytes_limit <= budget, "{usage:?}");
    assert_eq!(usage.bytes_spilled, 0);
    let hot = cache.layout.hot().unwrap();
    assert!((4..44 * 4).contains(&hot), "{hot} tokens are hot");
}
