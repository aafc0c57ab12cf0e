//! The store against plain vectors, under any history.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use candle_core::{Device, Tensor};
use edgeformer_core::graph::{CachePlan, GraphBuilder, GraphInput, OutputKind, SlotPlan};
use edgeformer_core::{CacheFormat, Graph, SessionOptions};
use edgeformer_sequences::{Kept, Sides};
use proptest::prelude::*;

use super::{KeptSequence, Ledger, Shape};

/// Elements of a row: keys and values of the first slot, latents of the second.
const WIDTHS: [[usize; 2]; 2] = [[6, 4], [5, 0]];
const CONTEXT: usize = 40;

#[derive(Debug, Clone)]
enum Change {
    /// Rows behind the end of a sequence.
    Append {
        sequence: usize,
        rows: usize,
    },
    /// Rows that a failed step leaves behind the end.
    Spoil {
        sequence: usize,
        rows: usize,
    },
    Fork {
        sequence: usize,
    },
    Truncate {
        sequence: usize,
        keep: usize,
    },
    Remove {
        sequence: usize,
    },
    /// Out, and back into a new sequence.
    Copy {
        sequence: usize,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let sequence = || 0..4usize;
    prop_oneof![
        4 => (sequence(), 1..9usize).prop_map(|(sequence, rows)| Change::Append { sequence, rows }),
        1 => (sequence(), 1..9usize).prop_map(|(sequence, rows)| Change::Spoil { sequence, rows }),
        2 => sequence().prop_map(|sequence| Change::Fork { sequence }),
        2 => (sequence(), 0..CONTEXT)
            .prop_map(|(sequence, keep)| Change::Truncate { sequence, keep }),
        1 => sequence().prop_map(|sequence| Change::Remove { sequence }),
        1 => sequence().prop_map(|sequence| Change::Copy { sequence }),
    ]
}

fn graph() -> Graph {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 2, context: 2 });
    let x = b.embed("table", 2, 1.0).unwrap();
    let mut graph = b.finish(OutputKind::HiddenStates, x).unwrap();
    let keys = SlotPlan::KeyValue { heads: 2, key_dim: 3, value_dim: 2, window: None };
    graph.cache = CachePlan { slots: vec![keys, SlotPlan::Latent { rank: 3, rope_dim: 2 }] };
    graph
}

/// Sequences and what they must hold: by slot and side, token-major.
struct Lab {
    shape: Arc<Shape>,
    ledger: Arc<Ledger>,
    live: Vec<(KeptSequence, [[Vec<f32>; 2]; 2])>,
    drawn: u32,
}

impl Lab {
    fn new(format: CacheFormat, budget: Option<u64>) -> Self {
        let options = SessionOptions {
            context: CONTEXT,
            page_tokens: 3,
            cache_type_k: format,
            cache_type_v: format,
            ..SessionOptions::default()
        };
        let shape = Arc::new(Shape::new(&graph(), &options));
        let ledger = Arc::new(Ledger::new(Device::Cpu, budget, 0));
        let mut lab = Self { shape, ledger, live: Vec::new(), drawn: 0 };
        (0..2).for_each(|_| lab.live.push((lab.empty(), Default::default())));
        lab
    }

    fn empty(&self) -> KeptSequence {
        KeptSequence::new(self.shape.clone(), self.ledger.clone())
    }

    /// Halves hold them exactly.
    fn values(&mut self, count: usize) -> Vec<f32> {
        let mut draw = || {
            self.drawn = (self.drawn + 1) % 2000;
            self.drawn as f32 - 1000.0
        };
        (0..count).map(|_| draw()).collect()
    }

    fn append(&mut self, sequence: usize, rows: usize, counts: bool) {
        let len = self.live[sequence].1[1][0].len() / WIDTHS[1][0];
        let rows = rows.min(CONTEXT - len);
        if rows == 0 {
            return;
        }
        for (slot, widths) in WIDTHS.iter().enumerate() {
            let values = widths.map(|width| self.values(rows * width));
            let heads = if slot == 0 { 2 } else { 1 };
            let tensor = |side: usize| {
                let shape = (rows, heads, widths[side] / heads);
                let rows = Tensor::from_slice(&values[side], shape, &Device::Cpu).unwrap();
                rows.transpose(0, 1).unwrap()
            };
            let (kept, model) = &mut self.live[sequence];
            kept.make_room(slot, len, rows).unwrap();
            let keys = tensor(0);
            let cached = (widths[1] > 0).then(|| tensor(1));
            kept.append(slot, len, [Some(&keys), cached.as_ref()]).unwrap();
            if counts {
                for (model, values) in model[slot].iter_mut().zip(values) {
                    model.extend(values);
                }
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        let (Change::Append { sequence, .. }
        | Change::Spoil { sequence, .. }
        | Change::Fork { sequence }
        | Change::Truncate { sequence, .. }
        | Change::Remove { sequence }
        | Change::Copy { sequence }) = *change;
        if sequence >= self.live.len() {
            return;
        }
        match *change {
            Change::Append { rows, .. } => self.append(sequence, rows, true),
            Change::Spoil { rows, .. } => self.append(sequence, rows, false),
            Change::Fork { .. } => {
                let (kept, model) = &self.live[sequence];
                let fork = (kept.fork().unwrap(), model.clone());
                self.live.push(fork);
            }
            Change::Truncate { keep, .. } => {
                let (kept, model) = &mut self.live[sequence];
                let len = model[1][0].len() / WIDTHS[1][0];
                let keep = keep.min(len);
                kept.truncate(keep).unwrap();
                for (sides, widths) in model.iter_mut().zip(WIDTHS) {
                    for (side, width) in sides.iter_mut().zip(widths) {
                        side.truncate(keep * width);
                    }
                }
            }
            Change::Remove { .. } => {
                self.live.remove(sequence);
            }
            Change::Copy { .. } => {
                let mut copy = self.empty();
                let model = self.live[sequence].1.clone();
                let len = model[1][0].len() / WIDTHS[1][0];
                for slot in 0..WIDTHS.len() {
                    if len > 0 {
                        let sides = self.live[sequence].0.read(slot, len).unwrap();
                        copy.write(slot, len, &sides).unwrap();
                    }
                }
                self.live.push((copy, model));
            }
        }
    }

    fn check(&self) {
        let mut held = std::collections::BTreeMap::new();
        for (kept, model) in &self.live {
            let len = model[1][0].len() / WIDTHS[1][0];
            for (slot, [keys, values]) in model.iter().enumerate() {
                if len > 0 {
                    let expected = Sides { keys: keys.clone(), values: values.clone() };
                    assert_eq!(kept.read(slot, len).unwrap(), expected);
                }
            }
            kept.buffers(&mut |buffer| {
                held.insert(buffer.id, buffer);
            });
        }
        let resident: u64 =
            held.values().filter(|buffer| buffer.resident).map(|buffer| buffer.bytes).sum();
        assert_eq!(self.ledger.resident(), resident);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_holds_what_was_written(
        changes in prop::collection::vec(change(), 1..40),
        half in any::<bool>(),
        budget in prop::option::of(0..4000u64),
    ) {
        let format = if half { CacheFormat::F16 } else { CacheFormat::F32 };
        let mut lab = Lab::new(format, budget);
        for change in &changes {
            lab.apply(change);
            lab.check();
            prop_assert!(budget.is_none_or(|budget| lab.ledger.most() <= budget));
        }
        lab.live.clear();
        prop_assert_eq!(lab.ledger.resident(), 0);
    }
}
