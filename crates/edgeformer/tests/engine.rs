//! The library face: several sequences at once, conversations, encoders, errors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu"))]

use edgeformer::{
    Engine, EngineOptions, Error, FinishReason, GenerateOptions, ModelSource, Plan, SamplingOptions,
};

fn engine(options: &EngineOptions) -> Engine {
    Engine::open(&ModelSource::Embedded, options).unwrap()
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ..GenerateOptions::default() }
}

fn answer(engine: &Engine, prompt: &str, options: &GenerateOptions) -> String {
    engine.generate(prompt, options).unwrap().text().unwrap()
}

#[test]
fn an_engine_is_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Engine>();
}

#[test]
fn answers_side_by_side_equal_answers_alone() {
    let prompts = ["To be", "ROMEO:", "My lord, the king", "Enter", "What is the matter"];
    let alone = engine(&EngineOptions::default());
    let alone: Vec<String> =
        prompts.iter().map(|prompt| answer(&alone, prompt, &greedy(40))).collect();
    // Fewer places than prompts, and chunks smaller than some prompts.
    let together =
        engine(&EngineOptions { sequences: 3, chunk: Some(4), ..EngineOptions::default() });
    let streams: Vec<_> =
        prompts.iter().map(|prompt| together.generate(*prompt, &greedy(40)).unwrap()).collect();
    let together: Vec<String> =
        streams.into_iter().map(|mut stream| stream.text().unwrap()).collect();
    assert_eq!(together, alone);
}

#[test]
fn threads_of_prompts_and_of_tokens_change_no_token() {
    let prompt = "To be or not to be, that is the question: whether";
    let expected = answer(&engine(&EngineOptions::default()), prompt, &greedy(40));
    for (threads, threads_batch) in [(1, 3), (3, 1), (2, 4)] {
        let options = EngineOptions {
            threads: Some(threads),
            threads_batch: Some(threads_batch),
            ..EngineOptions::default()
        };
        assert_eq!(answer(&engine(&options), prompt, &greedy(40)), expected);
    }
}

#[test]
fn conversations_continue_from_their_cache() {
    let engine = engine(&EngineOptions { sequences: 2, ..EngineOptions::default() });
    let conversation = engine.conversation();
    let first = engine.tokenize("To be or not to be, that is").unwrap();
    let mut stream = conversation.generate(first.as_slice(), &greedy(10)).unwrap();
    stream.text().unwrap();
    let finish = stream.finish().unwrap().clone();
    assert_eq!((finish.reason, finish.stats.cached_tokens), (FinishReason::Length, 0));

    let second: Vec<u32> = first
        .iter()
        .chain(&finish.tokens)
        .copied()
        .chain(engine.tokenize(" What then?").unwrap())
        .collect();
    let mut stream = conversation.generate(second.as_slice(), &greedy(10)).unwrap();
    let continued = stream.text().unwrap();
    let cached = stream.finish().unwrap().stats.cached_tokens;
    assert_eq!(cached, first.len() + finish.tokens.len() - 1);
    let mut fresh = engine.generate(second.as_slice(), &greedy(10)).unwrap();
    assert_eq!(continued, fresh.text().unwrap());
}

#[test]
fn stop_texts_end_an_answer_and_are_not_shown() {
    let engine = engine(&EngineOptions::default());
    let whole = answer(&engine, "ROMEO:", &greedy(40));
    let stop: String = whole.chars().skip(10).take(5).collect();
    let mut stream = engine
        .generate("ROMEO:", &GenerateOptions { stop: vec![stop.clone()], ..greedy(40) })
        .unwrap();
    let cut = stream.text().unwrap();
    assert_eq!(cut, whole[..whole.find(&stop).unwrap()]);
    assert_eq!(stream.finish().unwrap().reason, FinishReason::Stop);
}

#[test]
fn an_answer_ends_where_the_context_does() {
    let engine = engine(&EngineOptions { context: Some(16), ..EngineOptions::default() });
    let prompt = engine.tokenize("To be or not").unwrap();
    let options = GenerateOptions { ignore_eos: true, max_tokens: None, ..greedy(0) };
    let mut stream = engine.generate(prompt.as_slice(), &options).unwrap();
    stream.text().unwrap();
    let finish = stream.finish().unwrap();
    assert_eq!(finish.reason, FinishReason::Length);
    // The last token is chosen from the full context and need not fit into it.
    assert_eq!(prompt.len() + finish.tokens.len(), 17);
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let engine = engine(&EngineOptions { context: Some(8), ..EngineOptions::default() });
    let long = "to be or not to be ".repeat(10);
    assert!(matches!(
        engine.generate(long.as_str(), &greedy(1)),
        Err(Error::PromptTooLong { context: 8, .. })
    ));
    assert!(engine.generate("", &greedy(1)).is_err());
    assert!(
        engine
            .generate([1u32 << 30].as_slice(), &greedy(1))
            .unwrap_err()
            .to_string()
            .contains("vocabulary")
    );
    assert!(engine.embed("text", None).unwrap_err().to_string().contains("does not embed"));
    // The engine still serves.
    assert!(!answer(&engine, "To be", &greedy(4)).is_empty());
}

#[test]
fn a_stream_that_is_dropped_frees_its_place() {
    let engine = engine(&EngineOptions::default());
    for _ in 0..5 {
        let mut stream = engine
            .generate("To be", &GenerateOptions { ignore_eos: true, ..greedy(1000) })
            .unwrap();
        stream.next().unwrap().unwrap();
    }
    assert!(!answer(&engine, "To be", &greedy(4)).is_empty());
}

#[test]
fn evaluation_gives_a_row_a_token_in_any_step() {
    let all = engine(&EngineOptions { output_rows: Some(64), ..EngineOptions::default() });
    let one = engine(&EngineOptions { output_rows: Some(1), ..EngineOptions::default() });
    let tokens = all.tokenize("To be or not to be").unwrap();
    let rows = all.evaluate(&tokens).unwrap();
    assert_eq!(rows.rows().len(), tokens.len());
    assert_eq!(rows.rows().width(), all.graph().vocabulary());
    assert_eq!(rows, one.evaluate(&tokens).unwrap());
}

#[test]
fn plans_grow_with_the_context() {
    let plan = |context| {
        Plan::of(
            &ModelSource::Embedded,
            &EngineOptions { context: Some(context), ..EngineOptions::default() },
        )
    };
    let (short, long) = (plan(128).unwrap(), plan(256).unwrap());
    assert_eq!(long.footprint.weights, short.footprint.weights);
    assert_eq!(long.footprint.cache, 2 * short.footprint.cache);
    assert_eq!(long.footprint.cache_per_token * 256, long.footprint.cache);
    assert_eq!(short.longest_context, None);
}
