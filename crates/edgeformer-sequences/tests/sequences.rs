//! Sequences against a plain history of each, for any order of operations.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeformer_core::graph::{Attention, GraphBuilder, GraphInput, Mask, OutputKind};
use edgeformer_core::{
    CacheFormat, Error, Eviction, EvictionPolicy, Format, Graph, Input, KvCache, Model, Result,
    SequenceId, SessionOptions, Span, Step, Tensor, Tiers, Visibility, Want, Weight, Weights,
    Window,
};
use edgeformer_sequences::{Buffer, Kept, Limits, OwnWindows, Sequences, Sides};
use proptest::prelude::*;

const WIDTH: usize = 4;
const VOCABULARY: usize = 50;

/// Keys are the tokens, values their negatives; shared until one is written.
#[derive(Clone, Default)]
struct Rows(Arc<Vec<f32>>);

impl Kept for Rows {
    fn fork(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        Arc::make_mut(&mut self.0).truncate(len);
        Ok(())
    }

    fn read(&self, _slot: usize, len: usize) -> Result<Sides> {
        let keys: Vec<f32> = self.0[..len].iter().flat_map(|&token| [token; WIDTH]).collect();
        let values = keys.iter().map(|key| -key).collect();
        Ok(Sides { keys, values })
    }

    fn write(&mut self, _slot: usize, len: usize, sides: &Sides) -> Result<()> {
        let rows: Vec<f32> = sides.keys.chunks_exact(WIDTH).map(|row| row[0]).collect();
        assert_eq!(rows.len(), len);
        assert!(sides.values.iter().zip(&sides.keys).all(|(value, key)| *value == -key));
        self.0 = Arc::new(rows);
        Ok(())
    }

    fn buffers(&self, each: &mut dyn FnMut(Buffer)) {
        if !self.0.is_empty() {
            let bytes = (self.0.len() * 2 * WIDTH * 4) as u64;
            each(Buffer { id: Arc::as_ptr(&self.0) as usize, bytes, resident: true });
        }
    }
}

fn graph() -> Graph {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: VOCABULARY, context: 64 });
    let x = b.embed("table", WIDTH, 1.0).unwrap();
    let attention = Attention {
        heads: 1,
        kv_heads: 1,
        key_dim: WIDTH,
        value_dim: WIDTH,
        scale: 1.0,
        mask: Mask::Causal,
        window: None,
        soft_cap: None,
        slot: None,
    };
    let y = b.attention(x, x, x, attention).unwrap();
    b.finish(OutputKind::HiddenStates, y).unwrap()
}

fn model(seed: f32) -> Model {
    let table = vec![seed; VOCABULARY * WIDTH];
    let table = Tensor::quantize(Format::F32, [VOCABULARY, WIDTH], &table).unwrap();
    let mut weights = Weights::default();
    weights.insert("table", Weight::whole(table));
    Model { graph: graph(), weights }
}

fn options() -> SessionOptions {
    SessionOptions { context: 20, sequences: 3, chunk: 8, output_rows: 8, ..Default::default() }
}

fn sequences(model: &Model) -> Sequences<Rows> {
    let make = Box::new(|| Ok(Rows::default()));
    Sequences::new(model, &options(), [CacheFormat::F32; 2], make).unwrap()
}

/// A step as a backend runs it: checked, written, advanced.
fn feed(sequences: &mut Sequences<Rows>, seq: SequenceId, tokens: &[u32]) -> Result<()> {
    let span = Span { sequence: seq, input: Input::Tokens(tokens), want: Want::Last };
    let work = sequences.check(&graph(), &Step { spans: &[span] })?;
    assert_eq!(work[0].first, sequences.len(seq));
    let rows = Arc::make_mut(&mut sequences.kept(seq)?.0);
    rows.truncate(work[0].first);
    rows.extend(tokens.iter().map(|&token| token as f32));
    sequences.advance(seq, tokens.len());
    Ok(())
}

fn exported(sequences: &mut Sequences<Rows>, seq: SequenceId) -> Vec<u8> {
    let mut file = Vec::new();
    sequences.export(seq, &mut file).unwrap();
    file
}

#[derive(Debug, Clone)]
enum Act {
    Create,
    Feed(usize, Vec<u32>),
    Fork(usize),
    Truncate(usize, usize),
    Remove(usize),
    Copy(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Create),
        (0..8usize, prop::collection::vec(0..VOCABULARY as u32, 1..9))
            .prop_map(|(s, t)| Act::Feed(s, t)),
        (0..8usize).prop_map(Act::Fork),
        (0..8usize, 0..20usize).prop_map(|(s, l)| Act::Truncate(s, l)),
        (0..8usize).prop_map(Act::Remove),
        (0..8usize).prop_map(Act::Copy),
    ]
}

proptest! {
    #[test]
    fn every_sequence_holds_its_history(acts in prop::collection::vec(act(), 1..60)) {
        let model = model(1.0);
        let mut sequences = sequences(&model);
        let mut histories: BTreeMap<SequenceId, Vec<u32>> = BTreeMap::new();
        let chosen = |histories: &BTreeMap<SequenceId, Vec<u32>>, index: usize| {
            histories.keys().nth(index % histories.len().max(1)).copied()
        };
        for act in acts {
            match act {
                Act::Create => {
                    histories.insert(sequences.create().unwrap(), Vec::new());
                }
                Act::Feed(index, tokens) => {
                    let Some(seq) = chosen(&histories, index) else { continue };
                    match feed(&mut sequences, seq, &tokens) {
                        Ok(()) => histories.get_mut(&seq).unwrap().extend(tokens),
                        Err(Error::ContextFull { needed, limit: 20, .. }) => {
                            prop_assert_eq!(needed, histories[&seq].len() + tokens.len());
                        }
                        Err(Error::CacheFull { needed, free }) => prop_assert!(needed > free),
                        Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    }
                }
                Act::Fork(index) => {
                    let Some(seq) = chosen(&histories, index) else { continue };
                    let before = sequences.usage().bytes_used;
                    let fork = sequences.fork(seq).unwrap();
                    prop_assert_eq!(sequences.usage().bytes_used, before);
                    histories.insert(fork, histories[&seq].clone());
                }
                Act::Truncate(index, len) => {
                    let Some(seq) = chosen(&histories, index) else { continue };
                    sequences.truncate(seq, len).unwrap();
                    histories.get_mut(&seq).unwrap().truncate(len);
                }
                Act::Remove(index) => {
                    let Some(seq) = chosen(&histories, index) else { continue };
                    sequences.remove(seq);
                    histories.remove(&seq);
                }
                Act::Copy(index) => {
                    let Some(seq) = chosen(&histories, index) else { continue };
                    let file = exported(&mut sequences, seq);
                    let copy = sequences.import(&mut file.as_slice()).unwrap();
                    histories.insert(copy, histories[&seq].clone());
                }
            }
            prop_assert_eq!(sequences.usage().sequences, histories.len());
            for (&seq, history) in &histories {
                prop_assert_eq!(sequences.len(seq), history.len());
                let kept = sequences.kept(seq).unwrap().read(0, history.len()).unwrap();
                let tokens: Vec<u32> = kept.keys.chunks(WIDTH).map(|row| row[0] as u32).collect();
                prop_assert_eq!(&tokens, history);
            }
        }
    }
}

#[test]
fn forks_count_once_until_they_part() {
    let model = model(1.0);
    let mut sequences = sequences(&model);
    let first = sequences.create().unwrap();
    for chunk in [8, 8, 4] {
        feed(&mut sequences, first, &vec![1; chunk]).unwrap();
    }
    // Room is for 60 tokens: nine forks of 20 hold the same 20.
    let forks: Vec<_> = (0..9).map(|_| sequences.fork(first).unwrap()).collect();
    for seq in &forks[..2] {
        sequences.truncate(*seq, 19).unwrap();
        feed(&mut sequences, *seq, &[2]).unwrap();
    }
    // The three contents are 60 tokens now: a fourth finds no room for its own.
    sequences.truncate(forks[2], 19).unwrap();
    let full = feed(&mut sequences, forks[2], &[2]).unwrap_err();
    assert!(matches!(full, Error::CacheFull { needed: 1, .. }), "{full}");
}

#[test]
fn what_does_not_belong_here_is_refused() {
    let mut own = sequences(&model(1.0));
    let seq = own.create().unwrap();
    feed(&mut own, seq, &[3, 4, 5]).unwrap();
    let file = exported(&mut own, seq);
    let refused =
        |file: &[u8], by: &mut Sequences<Rows>| by.import(&mut &*file).unwrap_err().to_string();
    let other = refused(&file, &mut sequences(&model(2.0)));
    insta::assert_snapshot!(other, @"saved sequence: it was saved with another model; load the model it belongs to");
    let mut newer = file.clone();
    newer[8] = 9;
    insta::assert_snapshot!(refused(&newer, &mut own), @"saved sequence: version 9, this program reads version 1");
    insta::assert_snapshot!(refused(b"GGUF....", &mut own), @"saved sequence: this is no saved sequence of such a backend: it does not begin with EFROWSEQ");
    insta::assert_snapshot!(refused(&file[..40], &mut own), @"saved sequence: it ends too early: it is truncated");
    let mut narrow = Sequences::new(
        &model(1.0),
        &SessionOptions { context: 2, ..options() },
        [CacheFormat::F32; 2],
        Box::new(|| Ok(Rows::default())),
    )
    .unwrap();
    insta::assert_snapshot!(refused(&file, &mut narrow), @"saved sequence: it holds 3 tokens, the session was opened for 2: raise the context length");
    for place in 0..file.len() {
        let mut damaged = file.clone();
        damaged[place] ^= 0x10;
        assert!(own.import(&mut damaged.as_slice()).is_err(), "byte {place}");
    }
    assert_eq!(own.usage().sequences, 1);
}

#[test]
fn limits_name_everything_that_is_missing() {
    let limits = Limits {
        backend: "toy",
        cache_types: &[CacheFormat::F32, CacheFormat::F16],
        windows: OwnWindows::OfModel,
        budget: false,
    };
    limits.check(&graph(), &SessionOptions::default()).unwrap();
    let eviction = Some(Eviction { policy: EvictionPolicy::H2o, keep: 8 });
    let options = SessionOptions {
        cache_type_k: CacheFormat::Q8_0,
        visibility: Visibility {
            window: Window::Tokens(8),
            sinks: 2,
            attend_pages: Some(3),
            eviction,
        },
        tiers: Tiers {
            budget: Some(1),
            cold: Some(CacheFormat::Q4_0),
            spill: Some("/nowhere".into()),
        },
        observe_attention: true,
        ..SessionOptions::default()
    };
    insta::assert_snapshot!(limits.check(&graph(), &options).unwrap_err(), @r#"configuration: backend "toy" has no cached keys in q8_0 (but in f32 or f16), no windows but the model's, no attention sinks, no choice of attended pages, no eviction, no cache budget, no cold pages in another format, no spilling to a file, no record of where attention goes; leave that out, or use the backend "cpu""#);
}
