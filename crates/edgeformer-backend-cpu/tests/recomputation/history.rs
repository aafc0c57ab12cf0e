//! A session, what is done to it, and what must come of it.

use std::sync::Arc;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::reference::evaluate_seeing;
use edgeformer_conformance::relative_l2;
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Error, Input, Model, Outputs, Program, SequenceId,
    Session, SessionOptions, Span, Step, Tiers, Want, Window,
};
use proptest::prelude::*;

use crate::family::{self, Layer, VOCABULARY};
use crate::settings::{Settings, Tier};

/// Tokens that a stream without end gets at most.
const STREAM: usize = 120;

#[derive(Debug, Clone)]
pub enum Action {
    /// Tokens for some sequences, in steps over all of them.
    Feed(Vec<(usize, Vec<u32>)>),
    Fork(usize),
    Truncate {
        index: usize,
        back: usize,
    },
    Remove(usize),
    /// Through a file, into a sequence of its own.
    Restore(usize),
    /// A new sequence that begins like another.
    Adopt {
        index: usize,
        more: Vec<u32>,
    },
    Trim,
}

/// A session and the tokens of its sequences.
pub struct History {
    model: Arc<Model>,
    options: SessionOptions,
    session: Box<dyn Session>,
    anew: Box<dyn Session>,
    sequences: Vec<Sequence>,
    _folder: tempfile::TempDir,
}

#[derive(Debug, Clone)]
struct Sequence {
    id: SequenceId,
    tokens: Vec<u32>,
    /// It can be truncated to this length and go on with the same bits.
    exact_from: usize,
}

pub fn actions() -> impl Strategy<Value = Vec<Action>> {
    let tokens = |most| prop::collection::vec(0..VOCABULARY as u32, 1..most);
    let feed = prop::collection::vec((any::<usize>(), tokens(30usize)), 1..4);
    let action = prop_oneof![
        8 => feed.prop_map(Action::Feed),
        2 => any::<usize>().prop_map(Action::Fork),
        3 => (any::<usize>(), 0..30usize)
            .prop_map(|(index, back)| Action::Truncate { index, back }),
        1 => any::<usize>().prop_map(Action::Remove),
        2 => any::<usize>().prop_map(Action::Restore),
        2 => (any::<usize>(), tokens(12)).prop_map(|(index, more)| Action::Adopt { index, more }),
        1 => Just(Action::Trim),
    ];
    prop::collection::vec(action, 1..24)
}

impl History {
    pub fn new(layers: &[Layer], settings: Settings) -> Self {
        let model = family::model(layers, settings.seed);
        let Settings { mut options, tier, .. } = settings;
        if let Window::Heads(table) = &mut options.visibility.window {
            Arc::make_mut(table).slots.truncate(layers.len());
        }
        let folder = tempfile::tempdir().unwrap();
        let program = compile(&model);
        if let Some((tier, share)) = tier {
            options.tiers = tiers(&program, &options, tier, share, folder.path());
        }
        let session = program.clone().open(&options).unwrap();
        let anew = program.open(&anew(&options)).unwrap();
        Self { model, options, session, anew, sequences: Vec::new(), _folder: folder }
    }

    pub fn play(mut self, actions: Vec<Action>) {
        self.create();
        for action in actions {
            self.act(action);
        }
        self.agrees_with_the_evaluator();
        while let Some(sequence) = self.sequences.pop() {
            self.session.cache().remove(sequence.id);
        }
        assert_eq!(self.session.cache().usage().bytes_used, 0);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Feed(texts) => self.feed(texts),
            Action::Fork(index) => self.fork(index),
            Action::Truncate { index, back } => self.truncate(index, back),
            Action::Remove(index) => self.remove(index),
            Action::Restore(index) => self.restore(index),
            Action::Adopt { index, more } => self.adopt(index, more),
            Action::Trim => {
                let before = self.session.cache().usage();
                self.session.trim();
                let after = self.session.cache().usage();
                assert_eq!((after.bytes_used, after.bytes_retained), (before.bytes_used, 0));
            }
        }
    }

    fn has_room(&self) -> bool {
        self.sequences.len() < self.options.sequences
    }

    fn create(&mut self) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let id = self.session.cache().create().unwrap();
        self.sequences.push(Sequence { id, tokens: Vec::new(), exact_from: 0 });
        Some(self.sequences.len() - 1)
    }

    /// The sequence that a drawn number stands for.
    fn pick(&self, index: usize) -> Option<usize> {
        index.checked_rem(self.sequences.len())
    }

    fn page_tokens(&self) -> usize {
        self.options.page_tokens.min(self.options.context)
    }

    fn longest(&self) -> usize {
        if self.options.visibility.is_endless() { STREAM } else { self.options.context }
    }

    /// Feeds all texts, in steps that are as full as they may be, and looks at every row.
    fn feed(&mut self, texts: Vec<(usize, Vec<u32>)>) {
        let mut left: Vec<(usize, Vec<u32>)> = Vec::new();
        for (index, mut tokens) in texts {
            let Some(index) = self.pick(index).or_else(|| self.create()) else { continue };
            tokens.truncate(self.longest().saturating_sub(self.sequences[index].tokens.len()));
            if !tokens.is_empty() && left.iter().all(|&(other, _)| other != index) {
                left.push((index, tokens));
            }
        }
        while !left.is_empty() {
            let mut rows = self.options.chunk;
            let mut step = Vec::new();
            for (index, tokens) in &mut left {
                let count = tokens.len().min(rows);
                rows -= count;
                step.push((*index, tokens.drain(..count).collect::<Vec<_>>()));
            }
            step.retain(|(_, tokens)| !tokens.is_empty());
            left.retain(|(_, tokens)| !tokens.is_empty());
            self.step(&step);
        }
    }

    fn step(&mut self, step: &[(usize, Vec<u32>)]) {
        let span = |(index, tokens): &'_ (usize, Vec<u32>)| -> (SequenceId, Vec<u32>) {
            (self.sequences[*index].id, tokens.clone())
        };
        let fed: Vec<_> = step.iter().map(span).collect();
        let spans: Vec<_> = fed
            .iter()
            .map(|(sequence, tokens)| Span {
                sequence: *sequence,
                input: Input::Tokens(tokens),
                want: Want::All,
            })
            .collect();
        let mut outputs = Outputs::default();
        self.session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        let page = self.page_tokens();
        for (span, (index, tokens)) in step.iter().enumerate() {
            let sequence = &mut self.sequences[*index];
            let first = sequence.tokens.len();
            sequence.tokens.extend_from_slice(tokens);
            let len = sequence.tokens.len();
            // What the step's own queries saw of a page stays until the next, for a page's tokens.
            sequence.exact_from = first.max(len.saturating_sub(page));
            let whole = sequence.tokens.clone();
            assert_eq!(self.session.cache().len(sequence.id), len);
            let expected = self.compute_anew(&whole);
            let found = outputs.span(span).data();
            let place = |at: usize| (first + at / VOCABULARY, at % VOCABULARY);
            let differs = found
                .iter()
                .zip(&expected[first * VOCABULARY..])
                .position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs.map(place), None, "(position, logit) that differs first");
        }
    }

    /// The logits of these tokens, in a new sequence of a session that has seen nothing else.
    fn compute_anew(&mut self, tokens: &[u32]) -> Vec<f32> {
        let sequence = self.anew.cache().create().unwrap();
        let mut outputs = Outputs::default();
        let mut rows = Vec::new();
        for tokens in tokens.chunks(anew(&self.options).chunk) {
            let span = Span { sequence, input: Input::Tokens(tokens), want: Want::All };
            self.anew.run(&Step { spans: &[span] }, &mut outputs).unwrap();
            rows.extend_from_slice(outputs.rows().data());
        }
        self.anew.cache().remove(sequence);
        rows
    }

    fn fork(&mut self, index: usize) {
        let Some(index) = self.pick(index).filter(|_| self.has_room()) else { return };
        let id = self.session.cache().fork(self.sequences[index].id).unwrap();
        self.sequences.push(Sequence { id, ..self.sequences[index].clone() });
    }

    fn truncate(&mut self, index: usize, back: usize) {
        let Some(index) = self.pick(index) else { return };
        let sequence = &self.sequences[index];
        let len = self.exact_length(sequence, sequence.tokens.len().saturating_sub(back));
        match self.session.cache().truncate(sequence.id, len) {
            Ok(()) => {
                let sequence = &mut self.sequences[index];
                sequence.tokens.truncate(len);
                sequence.exact_from = sequence.exact_from.min(len);
            }
            // Windows have let go what it would see.
            Err(Error::Step(_)) if len > 0 => {}
            Err(error) => panic!("truncated to {len}: {error}"),
        }
    }

    /// The nearest length at or above `len` at which nothing is lost by truncation; the length it
    /// has, if there is no other.
    fn exact_length(&self, sequence: &Sequence, len: usize) -> usize {
        let whole = sequence.tokens.len();
        let formats = [self.options.cache_type_k, self.options.cache_type_v];
        let page = self.page_tokens();
        if len == 0 {
            return 0;
        }
        if matches!(self.options.visibility.window, Window::Adaptive { .. }) {
            return whole;
        }
        let recent = len.max(sequence.exact_from).min(whole);
        if self.options.tiers.cold.is_some() {
            return recent;
        }
        if formats.into_iter().any(CacheFormat::is_quantized) {
            // The page under construction has all its bits, and full pages have theirs.
            let in_page = if len / page == whole / page { len } else { usize::MAX };
            return recent.min(len.next_multiple_of(page)).min(in_page).min(whole);
        }
        len
    }

    fn remove(&mut self, index: usize) {
        let Some(index) = self.pick(index) else { return };
        let sequence = self.sequences.swap_remove(index);
        self.session.cache().remove(sequence.id);
        assert_eq!(self.session.cache().len(sequence.id), 0);
    }

    fn restore(&mut self, index: usize) {
        let Some(index) = self.pick(index) else { return };
        let mut file = Vec::new();
        let Sequence { id, tokens, .. } = self.sequences[index].clone();
        self.session.cache().export(id, &mut file).unwrap();
        if !self.has_room() {
            self.sequences.swap_remove(index);
            self.session.cache().remove(id);
        }
        let mut rest = file.as_slice();
        let id = self.session.cache().import(&mut rest).unwrap();
        assert!(rest.is_empty(), "{} bytes are not read", rest.len());
        self.sequences.push(Sequence { id, exact_from: tokens.len(), tokens });
    }

    fn adopt(&mut self, index: usize, more: Vec<u32>) {
        let Some(like) = self.pick(index).map(|index| self.sequences[index].tokens.clone()) else {
            return;
        };
        let Some(index) = self.create() else { return };
        let mut tokens = [like, more].concat();
        tokens.truncate(self.longest());
        let shared = self.session.cache().adopt(self.sequences[index].id, &tokens).unwrap();
        assert!(shared <= tokens.len());
        let rest = tokens.split_off(shared);
        self.sequences[index].exact_from = shared;
        self.sequences[index].tokens = tokens;
        if !rest.is_empty() {
            self.feed(vec![(index, rest)]);
        }
    }

    /// Computed anew, the sequences have the values that the graph's definition gives.
    fn agrees_with_the_evaluator(&mut self) {
        let options = &self.options;
        let adapts = matches!(options.visibility.window, Window::Adaptive { .. });
        let formats = [options.cache_type_k, options.cache_type_v, CacheFormat::F32];
        let is_exact = formats == [CacheFormat::F32; 3] && options.tiers.cold.is_none();
        if adapts || options.visibility.attend_pages.is_some() || !is_exact {
            return;
        }
        let texts: Vec<_> = self.sequences.iter().map(|seq| seq.tokens.clone()).collect();
        for tokens in texts.iter().filter(|tokens| !tokens.is_empty()) {
            let found = self.compute_anew(tokens);
            let (context, seen) = (self.options.context, &self.options.visibility);
            let expected =
                evaluate_seeing(&self.model, Input::Tokens(tokens), context, seen).unwrap();
            let error = relative_l2(&found, expected.data());
            assert!(error <= 1e-4, "off by {error}");
        }
    }
}

fn compile(model: &Arc<Model>) -> Arc<dyn Program> {
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let compile = CompileOptions { threads: Some(2), ..CompileOptions::default() };
    backend.compile(model.clone(), &compile).unwrap()
}

/// The options of a session that computes anew: everything in memory, and in one piece. How far
/// cold pages are depends on the budget and the chunk, so those stay.
fn anew(options: &SessionOptions) -> SessionOptions {
    if options.tiers.cold.is_some() {
        return options.clone();
    }
    let chunk = options.context.max(STREAM);
    let tiers = Tiers::default();
    SessionOptions { chunk, output_rows: chunk, sequences: 1, tiers, ..options.clone() }
}

/// A budget between the least that works and all that could be used.
fn tiers(
    program: &Arc<dyn Program>,
    options: &SessionOptions,
    tier: Tier,
    share: f64,
    folder: &std::path::Path,
) -> Tiers {
    let with = |budget| match tier {
        Tier::Spilled => Tiers { budget, spill: Some(folder.into()), cold: None },
        Tier::Cold(format) => Tiers { budget, spill: None, cold: Some(format) },
    };
    let tiny = SessionOptions { tiers: with(Some(1)), ..options.clone() };
    let error = program.clone().open(&tiny).err().expect("one byte is too little").to_string();
    if error.contains("takes no less") {
        // Rows are padded: of pages of few tokens, four bits are not shorter.
        return Tiers::default();
    }
    let least = error.split_once("small, ").and_then(|(_, rest)| rest.split(' ').next());
    let least: u64 = least.and_then(|least| least.parse().ok()).expect(&error);
    let most = program.footprint(options).cache.max(least);
    with(Some(least + ((most - least) as f64 * share) as u64))
}
