//! Prompts that begin alike share what is cached.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu"))]

use edgeformer::{Engine, EngineOptions, Finish, GenerateOptions, ModelSource, SamplingOptions};
use edgeformer_conformance::shared;

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ..GenerateOptions::default() }
}

fn answer(engine: &Engine, prompt: &str) -> (String, Finish) {
    let mut stream = engine.generate(prompt, &greedy(24)).unwrap();
    let text = stream.text().unwrap();
    (text, stream.finish().unwrap().clone())
}

/// Two prompts with a long beginning in common.
const BEGINNING: &str = "Once upon a time, there was a little girl named Lily. She loved to play \
    outside in the park. One day, she saw a big red ball. ";
const ENDS: [&str; 2] = ["She wanted to take it home", "Her mom said to her"];

fn open(source: &ModelSource, page_tokens: usize) -> Engine {
    Engine::open(source, &EngineOptions { page_tokens, ..EngineOptions::default() }).unwrap()
}

fn stories() -> ModelSource {
    let file = shared("models/stories260k/stories260k-f32.gguf");
    file.map_or(ModelSource::Embedded, ModelSource::Path)
}

#[test]
fn a_shared_beginning_changes_no_answer() {
    let engine = open(&stories(), 8);
    for end in ENDS {
        let prompt = BEGINNING.to_string() + end;
        let (alone, fresh) = answer(&open(&stories(), 8), &prompt);
        let (after_another, finish) = answer(&engine, &prompt);
        assert_eq!(after_another, alone);
        assert_eq!((finish.tokens, fresh.stats.cached_tokens), (fresh.tokens, 0));
    }
}

#[test]
fn a_shared_beginning_is_computed_once() {
    let engine = open(&stories(), 8);
    let cached =
        ENDS.map(|end| answer(&engine, &(BEGINNING.to_string() + end)).1.stats.cached_tokens);
    assert_eq!(cached[0], 0);
    assert!(cached[1] >= 8 && cached[1].is_multiple_of(8), "{cached:?}");
}

#[test]
fn the_last_token_of_a_prompt_is_always_run() {
    let engine = open(&ModelSource::Embedded, 1);
    let prompt = engine.tokenize("To be or not to be").unwrap();
    let answers = [(); 2].map(|()| {
        let mut stream = engine.generate(prompt.as_slice(), &greedy(8)).unwrap();
        stream.text().unwrap();
        stream.finish().unwrap().clone()
    });
    assert_eq!(answers[0].tokens, answers[1].tokens);
    assert!(answers[1].stats.cached_tokens < prompt.len());
    // A prompt of one token has no beginning to share.
    assert!(engine.generate(&prompt[..1], &greedy(1)).unwrap().text().is_ok());
}
