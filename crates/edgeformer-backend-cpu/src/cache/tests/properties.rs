//! Random operations.

use edgeformer_core::graph::{CachePlan, SlotPlan};
use edgeformer_core::{CacheFormat, SessionOptions};
use proptest::prelude::*;

use super::model::Checked;

#[derive(Debug, Clone)]
enum Action {
    Create,
    Step { spans: Vec<(usize, usize)>, commit: bool },
    Fork(usize),
    Truncate { index: usize, back: usize },
    Remove(usize),
    Save { index: usize, page_tokens: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let span = (any::<usize>(), 0..24usize);
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
    ]
}

fn slot() -> impl Strategy<Value = SlotPlan> {
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

fn format() -> impl Strategy<Value = CacheFormat> {
    prop_oneof![Just(CacheFormat::F32), Just(CacheFormat::F16)]
}

fn options() -> impl Strategy<Value = SessionOptions> {
    let page = prop_oneof![1..8usize, 1..=64usize];
    (1..120usize, 1..4usize, 1..32usize, page, format(), format()).prop_map(
        |(context, sequences, chunk, page_tokens, cache_type_k, cache_type_v)| SessionOptions {
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

fn apply(checked: &mut Checked, action: Action) {
    let pick = |index| checked.pick(index);
    match action {
        Action::Create => {
            checked.create();
        }
        Action::Step { spans, commit } => {
            let mut rows = checked.options.chunk;
            let mut chosen: Vec<(_, usize)> = Vec::new();
            for (index, count) in spans {
                let Some(seq) = pick(index) else { return };
                if chosen.iter().all(|&(other, _)| other != seq) {
                    let count = count.min(rows);
                    rows -= count;
                    chosen.push((seq, count));
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_operations_leave_what_a_plain_vector_would(
        slots in prop::collection::vec(slot(), 1..4),
        options in options(),
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut checked = Checked::new(CachePlan { slots }, options);
        checked.create();
        for action in actions {
            apply(&mut checked, action);
            checked.check();
        }
        let all: Vec<_> = checked.sequences.keys().copied().collect();
        all.into_iter().for_each(|seq| checked.remove(seq));
        checked.check();
        prop_assert_eq!(edgeformer_core::KvCache::usage(&checked.cache).bytes_used, 0);
    }
}
