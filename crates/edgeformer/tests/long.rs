//! Text that outgrows the context, and prompts longer than it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu"))]

use edgeformer::{
    Engine, EngineOptions, Finish, FinishReason, GenerateOptions, ModelSource, SamplingOptions,
    Visibility, Window,
};

fn open(window: Window, chunk: usize) -> Engine {
    let visibility = Visibility { window, sinks: 4, ..Visibility::default() };
    let options = EngineOptions {
        context: Some(96),
        chunk: Some(chunk),
        page_tokens: 16,
        visibility,
        ..EngineOptions::default()
    };
    Engine::open(&ModelSource::Embedded, &options).unwrap()
}

fn answer(engine: &Engine, prompt: &[u32], max_tokens: usize) -> (String, Finish) {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    let options = GenerateOptions {
        sampling,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let mut stream = engine.generate(prompt, &options).unwrap();
    let text = stream.text().unwrap();
    (text, stream.finish().unwrap().clone())
}

#[test]
fn streams_go_on_past_the_context_in_the_memory_of_their_window() {
    for window in [Window::Tokens(64), Window::Adaptive { least: 32, most: 64 }] {
        let engine = open(window, 32);
        let prompt = engine.tokenize("To be or not to be").unwrap();
        let most = engine.plan().footprint.cache;
        let (_, finish) = answer(&engine, &prompt, 500);
        assert_eq!((finish.reason, finish.tokens.len()), (FinishReason::Length, 500));
        assert!(engine.cache_usage().unwrap().bytes_limit <= most);
    }
}

#[test]
fn prompts_longer_than_the_context_give_the_same_text_in_every_chunking() {
    let texts = [1, 7, 64].map(|chunk| {
        let engine = open(Window::Tokens(64), chunk);
        let prompt = engine.tokenize(&"To be or not to be, that is the question. ".repeat(12));
        let prompt = prompt.unwrap();
        assert!(prompt.len() > engine.context());
        answer(&engine, &prompt, 60).0
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}
