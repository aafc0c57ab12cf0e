//! Random operations.

use std::sync::Arc;

use edgeformer_core::graph::{CachePlan, SlotPlan};
use edgeformer_core::{
    CacheFormat, HeadWindows, KvCache, SessionOptions, Tiers, Visibility, Window,
};
use proptest::prelude::*;

use super::model::Checked;

#[derive(Debug, Clone)]
enum Action {
    Create,
    Step { spans: Vec<(usize, Vec<u32>)>, commit: bool },
    Fork(usize),
    Truncate { index: usize, back: usize },
    Remove(usize),
    Save { index: usize, page_tokens: usize },
    HoldFrom { index: usize, slot: usize, back: usize },
    Adopt { index: usize, more: Vec<u32>, choice: u32 },
    Choose { index: usize, choice: u32 },
    Trim,
}

fn tokens(most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..2u32, 0..most)
}

/// Among adapters: as usual, or one of two scales.
fn choice() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0u32), 1 => 1..3u32]
}

fn action() -> impl Strategy<Value = Action> {
    let span = (any::<usize>(), tokens(24));
    let step = (prop::collection::vec(span, 1..4), prop::bool::weighted(0.9));
    prop_oneof![
        1 => Just(Action::Create),
        10 => step.prop_map(|(spans, commit)| Action::Step { spans, commit }),
        2 => any::<usize>().prop_map(Action::Fork),
        3 => (any::<usize>(), 0..40usize)
            .prop_map(|(index, back)| Action::Truncate { index, back }),
        1 => any::<usize>().prop_map(Action::Remove),
        1 => (any::<usize>(), 1..=64usize)
            .prop_map(|(index, page_tokens)| Action::Save { index, page_tokens }),
        1 => (any::<usize>(), any::<usize>(), 0..20usize)
            .prop_map(|(index, slot, back)| Action::HoldFrom { index, slot, back }),
        2 => (any::<usize>(), tokens(4), choice())
            .prop_map(|(index, more, choice)| Action::Adopt { index, more, choice }),
        1 => (any::<usize>(), choice())
            .prop_map(|(index, choice)| Action::Choose { index, choice }),
        1 => Just(Action::Trim),
    ]
}

/// A slot whose widths any format takes.
fn blocked_slot() -> impl Strategy<Value = SlotPlan> {
    let widths = || prop_oneof![Just(8usize), Just(16), Just(24), Just(64)];
    let window = prop_oneof![Just(None), (1..24usize).prop_map(Some)];
    prop_oneof![
        3 => (1..3usize, widths(), widths(), window).prop_map(
            |(heads, key_dim, value_dim, window)| SlotPlan::KeyValue {
                heads, key_dim, value_dim, window
            }
        ),
        1 => (widths(), widths()).prop_map(|(rank, rope_dim)| SlotPlan::Latent { rank, rope_dim }),
    ]
}

/// A slot of any widths.
fn odd_slot() -> impl Strategy<Value = SlotPlan> {
    let window = prop_oneof![Just(None), (1..24usize).prop_map(Some), Just(Some(4))];
    prop_oneof![
        3 => (1..4usize, 1..5usize, 1..5usize, window).prop_map(
            |(heads, key_dim, value_dim, window)| SlotPlan::KeyValue {
                heads, key_dim, value_dim, window
            }
        ),
        1 => (1..6usize, 1..4usize)
            .prop_map(|(rank, rope_dim)| SlotPlan::Latent { rank, rope_dim }),
    ]
}

fn floats() -> impl Strategy<Value = CacheFormat> {
    prop_oneof![Just(CacheFormat::F32), Just(CacheFormat::F16)]
}

fn keys() -> impl Strategy<Value = CacheFormat> {
    prop::sample::select(&CacheFormat::ALL[..])
}

fn values() -> impl Strategy<Value = CacheFormat> {
    prop::sample::select(&CacheFormat::ALL[..4])
}

/// Options with default tiers and visibility.
fn options(
    formats: impl Strategy<Value = (CacheFormat, CacheFormat)>,
) -> impl Strategy<Value = SessionOptions> {
    let page = prop_oneof![1..8usize, 1..=64usize];
    (1..120usize, 1..4usize, 1..32usize, page, formats).prop_map(
        |(context, sequences, chunk, page_tokens, (cache_type_k, cache_type_v))| SessionOptions {
            context,
            sequences,
            chunk,
            page_tokens,
            cache_type_k,
            cache_type_v,
            ..SessionOptions::default()
        },
    )
}

/// Windows, sinks and bounds. Tables of windows are for four slots of four query heads.
fn visibility() -> impl Strategy<Value = Visibility> {
    let window = || prop_oneof![Just(None), (1..40usize).prop_map(Some)];
    let table = prop::collection::vec(prop::collection::vec(window(), 4), 3);
    let window = prop_oneof![
        Just(Window::Model),
        (1..30usize).prop_map(Window::Tokens),
        table.prop_map(|slots| Window::Heads(Arc::new(HeadWindows { slots }))),
        (1..6usize, 6..30usize).prop_map(|(least, most)| Window::Adaptive { least, most }),
    ];
    let sinks = prop_oneof![Just(0usize), 1..9usize];
    let attend_pages = prop_oneof![Just(None), (1..4usize).prop_map(Some)];
    (window, sinks, attend_pages).prop_map(|(window, sinks, attend_pages)| Visibility {
        window,
        sinks,
        attend_pages,
        eviction: None,
    })
}

fn apply(checked: &mut Checked, action: Action) {
    let pick = |index| checked.pick(index);
    match action {
        Action::Create => {
            checked.create();
        }
        Action::Step { spans, commit } => {
            let mut rows = checked.options.chunk;
            let mut chosen: Vec<(_, Vec<u32>)> = Vec::new();
            for (index, mut tokens) in spans {
                let Some(seq) = pick(index) else { return };
                if chosen.iter().all(|&(other, _)| other != seq) {
                    tokens.truncate(rows);
                    rows -= tokens.len();
                    chosen.push((seq, tokens));
                }
            }
            checked.step(&chosen, commit);
        }
        Action::Fork(index) => {
            pick(index).into_iter().for_each(|seq| checked.fork(seq));
        }
        Action::Truncate { index, back } => {
            let Some(seq) = pick(index) else { return };
            let len = checked.sequences[&seq].len;
            // Beyond its beginning means far beyond its end.
            checked.truncate(seq, len.checked_sub(back).unwrap_or(len + back));
        }
        Action::Remove(index) => {
            pick(index).into_iter().for_each(|seq| checked.remove(seq));
        }
        Action::Save { index, page_tokens } => {
            pick(index).into_iter().for_each(|seq| checked.save(seq, page_tokens));
        }
        Action::HoldFrom { index, slot, back } => {
            pick(index).into_iter().for_each(|seq| checked.hold_from(seq, slot, back));
        }
        Action::Adopt { index, more, choice } => {
            let Some(seq) = pick(index) else { return };
            let tokens = [checked.sequences[&seq].words(), more].concat();
            checked.adopt(&tokens, choice);
        }
        Action::Choose { index, choice } => {
            pick(index).into_iter().for_each(|seq| checked.choose(seq, choice));
        }
        Action::Trim => {
            let before = checked.cache.usage();
            checked.cache.trim();
            let after = checked.cache.usage();
            assert_eq!(after.bytes_retained, 0);
            assert_eq!(after.bytes_used, before.bytes_used);
        }
    }
}

fn run(slots: Vec<SlotPlan>, options: SessionOptions, actions: Vec<Action>) {
    let mut checked = Checked::new(CachePlan { slots }, options);
    checked.create();
    for action in actions {
        apply(&mut checked, action);
        checked.check();
    }
    let all: Vec<_> = checked.sequences.keys().copied().collect();
    all.into_iter().for_each(|seq| checked.remove(seq));
    checked.check();
    assert_eq!(checked.cache.usage().bytes_used, 0);
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..60)
}

/// Bytes that a cache takes without a budget, and the least that it works with.
fn budgets(slots: &[SlotPlan], options: &SessionOptions) -> Option<(u64, u64)> {
    let plan = CachePlan { slots: slots.to_vec() };
    let with = |budget| {
        let tiers = Tiers { budget, ..options.tiers.clone() };
        SessionOptions { tiers, ..options.clone() }
    };
    let unbounded = SessionOptions { tiers: Tiers::default(), ..options.clone() };
    let everything = super::open(&plan, &unbounded, 7).unwrap().usage().bytes_limit;
    let error = super::open(&plan, &with(Some(1)), 7).err()?.to_string();
    let words: Vec<_> = error.split(' ').collect();
    let at = words.iter().position(|word| *word == "small,")?;
    Some((words[at + 1].parse().unwrap(), everything))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_operations_leave_what_a_plain_vector_would(
        slots in prop::collection::vec(odd_slot(), 1..4),
        options in options((floats(), floats())),
        actions in actions(),
    ) {
        run(slots, options, actions);
    }

    #[test]
    fn in_every_format(
        slots in prop::collection::vec(blocked_slot(), 1..4),
        options in options((keys(), values())),
        actions in actions(),
    ) {
        run(slots, options, actions);
    }

    #[test]
    fn with_windows_and_sinks(
        slots in prop::collection::vec(blocked_slot(), 3),
        options in options((keys(), values())),
        visibility in visibility(),
        actions in actions(),
    ) {
        run(slots, SessionOptions { visibility, ..options }, actions);
    }

    #[test]
    fn with_cold_pages(
        slots in prop::collection::vec(blocked_slot(), 1..4),
        options in options((prop::sample::select(&CacheFormat::ALL[..3]), floats())),
        cold in prop_oneof![Just(CacheFormat::Q4_0), Just(CacheFormat::Q4_0H)],
        windows in prop::option::of(1..30usize),
        share in 0.0..1.0f64,
        actions in actions(),
    ) {
        let mut options = options;
        options.tiers.cold = Some(cold);
        options.visibility.window = windows.map_or(Window::Model, Window::Tokens);
        if let Some((least, everything)) = budgets(&slots, &options) {
            let budget = least + ((everything - least) as f64 * share) as u64;
            options.tiers.budget = Some(budget);
            run(slots, options, actions);
        }
    }

    #[test]
    fn with_pages_in_a_file(
        slots in prop::collection::vec(blocked_slot(), 1..5),
        options in options((keys(), values())),
        bounds in any::<bool>(),
        share in 0.0..0.7f64,
        actions in actions(),
    ) {
        let mut options = options;
        let folder = tempfile::tempdir().unwrap();
        options.tiers.spill = Some(folder.path().to_path_buf());
        options.visibility.attend_pages = bounds.then_some(2);
        if let Some((least, everything)) = budgets(&slots, &options) {
            let budget = least + (everything.saturating_sub(least) as f64 * share) as u64;
            options.tiers.budget = Some(budget);
            run(slots, options, actions);
        }
    }
}
