//! The engine over a session that computes nothing, to see what it asks of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use edgeformer_core::{
    AttentionMass, CacheUsage, Error, Input, KvCache, Outputs, Result, SequenceId, Session,
    SessionOptions, Step, Visibility, Want, Window,
};
use edgeformer_models::OpenOptions;

use super::{Engine, FinishReason, GenerateOptions, SamplingOptions};
use crate::{EngineOptions, ModelSource, Plan};

/// Of the embedded model's tokens these are plain text.
const WORDS: u32 = 400;

/// Tokens of its pages.
const PAGE: usize = 4;

/// What a sequence has seen, kept when it is gone, for those that begin alike.
#[derive(Default)]
struct Seen {
    live: BTreeMap<SequenceId, Vec<u32>>,
    gone: Vec<Vec<u32>>,
    next: u64,
}

/// Says the token after the last one. Refuses what a real session refuses.
struct Counting {
    options: SessionOptions,
    vocabulary: usize,
    seen: Seen,
    rows: Arc<AtomicUsize>,
}

impl Session for Counting {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        outputs.reset(
            self.vocabulary,
            step.spans.iter().map(|span| usize::from(span.want == Want::Last)),
        );
        let mut row = 0;
        for span in step.spans {
            let Input::Tokens(tokens) = span.input else {
                return Err(Error::Step("tokens".into()));
            };
            self.rows.fetch_max(tokens.len(), Ordering::Relaxed);
            let seen = self
                .seen
                .live
                .get_mut(&span.sequence)
                .ok_or(Error::UnknownSequence(span.sequence))?;
            let needed = seen.len() + tokens.len();
            if needed > self.options.context && !self.options.visibility.is_endless() {
                let limit = self.options.context;
                return Err(Error::ContextFull { sequence: span.sequence, needed, limit });
            }
            seen.extend_from_slice(tokens);
            if span.want == Want::Last {
                let next = (tokens[tokens.len() - 1] + 1) % WORDS;
                outputs.data_mut()[row * self.vocabulary + next as usize] = 1.0;
                row += 1;
            }
        }
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        &mut self.seen
    }

    fn trim(&mut self) -> u64 {
        let gone = std::mem::take(&mut self.seen.gone);
        gone.iter().map(Vec::len).sum::<usize>() as u64
    }

    fn attention_mass(&self) -> Option<&AttentionMass> {
        None
    }
}

impl KvCache for Seen {
    fn create(&mut self) -> Result<SequenceId> {
        self.next += 1;
        self.live.insert(SequenceId(self.next), Vec::new());
        Ok(SequenceId(self.next))
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.live.get(&seq).map_or(0, Vec::len)
    }

    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        self.live.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?.truncate(len);
        Ok(())
    }

    fn fork(&mut self, _: SequenceId) -> Result<SequenceId> {
        Err(Error::Step("nobody forks here".into()))
    }

    fn adopt(&mut self, seq: SequenceId, tokens: &[u32]) -> Result<usize> {
        let common = |known: &Vec<u32>| {
            known.iter().zip(tokens).take_while(|(a, b)| a == b).count() / PAGE * PAGE
        };
        let longest = self.live.values().chain(&self.gone).map(common).max().unwrap_or(0);
        self.live.insert(seq, tokens[..longest].to_vec());
        Ok(longest)
    }

    fn remove(&mut self, seq: SequenceId) {
        self.gone.extend(self.live.remove(&seq));
    }

    fn export(&mut self, _: SequenceId, _: &mut dyn Write) -> Result<()> {
        Err(Error::Step("nothing is kept here".into()))
    }

    fn import(&mut self, _: &mut dyn Read) -> Result<SequenceId> {
        Err(Error::Step("nothing is kept here".into()))
    }

    fn usage(&self) -> CacheUsage {
        CacheUsage { sequences: self.live.len(), ..CacheUsage::default() }
    }
}

/// An engine over such a session, and the longest span it was given.
fn engine(options: &EngineOptions) -> (Engine, Arc<AtomicUsize>) {
    let file = ModelSource::Embedded.open_file(&OpenOptions { tokenizer: true }).unwrap();
    let plan = Plan::of(&ModelSource::Embedded, options).unwrap();
    let vocabulary = file.model.graph.vocabulary();
    let rows = Arc::new(AtomicUsize::new(0));
    let session = Counting {
        options: plan.session.clone(),
        vocabulary,
        seen: Seen::default(),
        rows: rows.clone(),
    };
    (Engine::serve(file, plan, Vec::new(), Box::new(session), None).unwrap(), rows)
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    GenerateOptions {
        sampling,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

fn prompt(length: usize) -> Vec<u32> {
    (0..length as u32).map(|token| 100 + token % 200).collect()
}

fn streaming(window: Window) -> EngineOptions {
    let visibility = Visibility { window, sinks: 4, ..Visibility::default() };
    EngineOptions { context: Some(32), chunk: Some(8), visibility, ..EngineOptions::default() }
}

#[test]
fn text_with_sinks_goes_on_past_the_context() {
    for window in [Window::Tokens(16), Window::Adaptive { least: 4, most: 16 }, Window::Model] {
        let (engine, rows) = engine(&streaming(window));
        // Neither the prompt nor the answer fits into 32 tokens.
        let mut stream = engine.generate(prompt(100).as_slice(), &greedy(200)).unwrap();
        stream.text().unwrap();
        let finish = stream.finish().unwrap();
        assert_eq!((finish.reason, finish.tokens.len()), (FinishReason::Length, 200));
        assert_eq!(finish.tokens[..2], [200, 201]);
        assert_eq!(rows.load(Ordering::Relaxed), 8);
    }
}

#[test]
fn text_without_sinks_ends_with_the_context() {
    let options = EngineOptions {
        visibility: Visibility { window: Window::Tokens(16), ..Visibility::default() },
        ..streaming(Window::Model)
    };
    let (engine, _) = engine(&options);
    assert!(engine.generate(prompt(100).as_slice(), &greedy(1)).is_err());
    let mut stream = engine.generate(prompt(30).as_slice(), &greedy(200)).unwrap();
    stream.text().unwrap();
    let finish = stream.finish().unwrap();
    assert_eq!((finish.reason, finish.tokens.len()), (FinishReason::Length, 3));
}

#[test]
fn beginnings_that_the_cache_holds_are_not_run_again() {
    let (engine, _) = engine(&EngineOptions::default());
    let run = |prompt: &[u32]| {
        let mut stream = engine.generate(prompt, &greedy(4)).unwrap();
        stream.text().unwrap();
        let finish = stream.finish().unwrap();
        (finish.stats.cached_tokens, finish.tokens.clone())
    };
    let tokens = prompt(41);
    let (cached, answer) = run(&tokens);
    assert_eq!(cached, 0);
    // All whole pages but the last token's: its logits are needed.
    assert_eq!(run(&tokens), (40, answer.clone()));
    assert_eq!(run(&tokens[..40]).0, 36);
    assert_eq!(run(&tokens[..1]).0, 0);
    // A conversation's first turn shares too, its later turns have more.
    let conversation = engine.conversation();
    let mut stream = conversation.generate(tokens.as_slice(), &greedy(4)).unwrap();
    stream.text().unwrap();
    assert_eq!(stream.finish().unwrap().stats.cached_tokens, 40);
    let longer = [tokens, answer, vec![7]].concat();
    let mut stream = conversation.generate(longer.as_slice(), &greedy(4)).unwrap();
    stream.text().unwrap();
    assert_eq!(stream.finish().unwrap().stats.cached_tokens, 44);
}

#[test]
fn questions_are_answered_between_steps() {
    let (engine, _) = engine(&EngineOptions::default());
    assert_eq!(engine.cache_usage().unwrap().sequences, 0);
    let conversation = engine.conversation();
    conversation.generate(prompt(10).as_slice(), &greedy(3)).unwrap().text().unwrap();
    assert_eq!(engine.cache_usage().unwrap().sequences, 1);
    drop(conversation);
    assert_eq!(engine.cache_usage().unwrap().sequences, 0);
    // Ten of the prompt and two of the answer; the third was never fed.
    assert_eq!((engine.trim().unwrap(), engine.trim().unwrap()), (12, 0));
    assert_eq!(engine.attention_mass().unwrap(), None);
}

#[test]
fn a_conversation_that_is_over_keeps_nothing_behind_its_answer() {
    let (engine, _) = engine(&EngineOptions { sequences: 2, ..EngineOptions::default() });
    let mut stream = {
        let conversation = engine.conversation();
        conversation.generate(prompt(10).as_slice(), &greedy(300)).unwrap()
    };
    stream.text().unwrap();
    assert_eq!(stream.finish().unwrap().tokens.len(), 300);
    assert_eq!(engine.cache_usage().unwrap().sequences, 0);
}

#[test]
fn a_failed_export_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    std::fs::write(&path, "before").unwrap();
    let (engine, _) = engine(&EngineOptions::default());
    let conversation = engine.conversation();
    conversation.generate(prompt(10).as_slice(), &greedy(3)).unwrap().text().unwrap();
    let told = conversation.save(&path).unwrap_err().to_string();
    assert!(told.contains("prompt.cache") && told.contains("nothing is kept here"), "{told}");
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
}
