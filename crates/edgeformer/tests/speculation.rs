//! Speculation changes how long an answer takes, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu"))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edgeformer::{
    CacheFormat, Engine, EngineOptions, Eviction, EvictionPolicy, Finish, GenerateOptions,
    ModelSource, SamplingOptions, Speculation, Visibility, Window,
};
use edgeformer_conformance::shared;
use proptest::prelude::*;
use support::is_emulated;

mod support;

const PROMPTS: [&str; 5] = [
    "To be or not to be, to be or not to be, to be",
    "ROMEO:",
    "My lord, my lord, my lord",
    "First Citizen:\nSpeak, speak.\n\nFirst Citizen:\nSpeak",
    "What is the matter with the",
];

fn open(source: &ModelSource, options: EngineOptions) -> Engine {
    Engine::open(source, &options).unwrap()
}

/// Guesses that are made whether they pay or not.
fn always(speculation: Speculation) -> Speculation {
    Speculation { adaptive: false, ..speculation }
}

fn options(temperature: f32, seed: u64, max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature, seed, ..SamplingOptions::default() };
    GenerateOptions {
        sampling,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

fn answer(engine: &Engine, prompt: &[u32], options: &GenerateOptions) -> Finish {
    let mut stream = engine.generate(prompt, options).unwrap();
    stream.text().unwrap();
    stream.finish().unwrap().clone()
}

/// Answers of two engines to all prompts, greedy and sampled; the sum of what the second guessed.
fn compare(plain: &Engine, guessing: &Engine, prompts: &[Vec<u32>], tokens: usize) -> usize {
    let mut accepted = 0;
    for (seed, prompt) in (0..).zip(prompts) {
        for temperature in [0.0, 0.9] {
            let options = options(temperature, seed, tokens);
            let (expected, found) =
                (answer(plain, prompt, &options), answer(guessing, prompt, &options));
            assert_eq!(found.tokens, expected.tokens, "prompt {seed}, temperature {temperature}");
            assert_eq!(found.reason, expected.reason);
            assert_eq!(expected.stats.drafted_tokens, 0);
            assert!(found.stats.accepted_tokens <= found.stats.drafted_tokens);
            accepted += found.stats.accepted_tokens;
        }
    }
    accepted
}

/// The prompts; under an emulator one is what there is time for.
fn tokenize(engine: &Engine) -> Vec<Vec<u32>> {
    let count = if is_emulated() { 1 } else { PROMPTS.len() };
    PROMPTS[..count].iter().map(|prompt| engine.tokenize(prompt).unwrap()).collect()
}

/// The embedded model with some of its weights changed: the same vocabulary, other opinions.
fn changed_model(folder: &Path) -> PathBuf {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tiny/tiny-shakespeare.gguf");
    let mut bytes = std::fs::read(file).unwrap();
    // Low bytes of weights near the end of the file, so that no number leaves its range.
    let start = bytes.len() - 200_000;
    bytes[start..].iter_mut().step_by(34).for_each(|byte| *byte ^= 0x15);
    let path = folder.join("draft.gguf");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn lookup_gives_the_same_text_with_every_kind_of_cache() {
    let windowed = Visibility { window: Window::Tokens(40), sinks: 4, ..Visibility::default() };
    let paged = Visibility { attend_pages: Some(3), ..Visibility::default() };
    let formats = [CacheFormat::F32, CacheFormat::F16, CacheFormat::Q8_0, CacheFormat::Q4_0];
    let mut kinds: Vec<EngineOptions> = formats
        .into_iter()
        .map(|format| EngineOptions {
            cache_type_k: Some(format),
            cache_type_v: Some(format),
            page_tokens: 16,
            ..EngineOptions::default()
        })
        .collect();
    for visibility in [windowed, paged] {
        kinds.push(EngineOptions {
            visibility,
            context: Some(96),
            page_tokens: 8,
            ..EngineOptions::default()
        });
    }
    for kind in kinds {
        let plain = open(&ModelSource::Embedded, kind.clone());
        let speculation = always(Speculation::lookup());
        let guessing = open(&ModelSource::Embedded, EngineOptions { speculation, ..kind.clone() });
        let accepted = compare(&plain, &guessing, &tokenize(&plain), 60);
        let least = if is_emulated() { 1 } else { 20 };
        assert!(accepted >= least, "{accepted} with {kind:?}");
    }
}

#[test]
fn random_models_of_all_families_say_the_same() {
    let Some(fixtures) = shared("fixtures/hf") else { return };
    for family in [
        "llama-gqa",
        "gemma2",
        "gemma3",
        "gpt2",
        "phi3",
        "qwen3-moe",
        "mistral-sliding-window",
        "deepseek-v2-mla",
        "deepseek-v3-mla-moe",
    ] {
        let source = ModelSource::Path(fixtures.join(family));
        let plain = open(&source, EngineOptions::default());
        let speculation = always(Speculation::lookup());
        let guessing = open(&source, EngineOptions { speculation, ..EngineOptions::default() });
        let prompts: Vec<Vec<u32>> = (0..4u32)
            .map(|first| (0..12).map(|at| 3 + (first * 7 + at % 4) % 20).collect())
            .collect();
        let tokens = plain.context().min(80) - 12;
        compare(&plain, &guessing, &prompts, tokens.min(48));
    }
}

#[test]
fn draft_models_good_and_bad_give_the_same_text() {
    let folder = tempfile::tempdir().unwrap();
    let changed = ModelSource::Path(changed_model(folder.path()));
    let plain = open(&ModelSource::Embedded, EngineOptions::default());
    let prompts = tokenize(&plain);
    let with = |draft: &ModelSource, adaptive| {
        let speculation = Speculation { adaptive, max: 5, ..Speculation::draft(draft.clone()) };
        open(&ModelSource::Embedded, EngineOptions { speculation, ..EngineOptions::default() })
    };
    for draft in [&ModelSource::Embedded, &changed] {
        for adaptive in [false, true] {
            compare(&plain, &with(draft, adaptive), &prompts, 40);
        }
    }
    // A draft model that thinks as the model does is always right; another one is not.
    let stats = |draft| answer(&with(draft, false), &prompts[0], &options(0.8, 3, 60)).stats;
    let same = stats(&ModelSource::Embedded);
    assert!(same.drafted_tokens >= 40 && same.accepted_tokens == same.drafted_tokens, "{same:?}");
    let other = stats(&changed);
    assert!(other.accepted_tokens < other.drafted_tokens, "{other:?}");
    assert!(other.accepted_tokens > 0, "{other:?}");
}

#[test]
fn answers_side_by_side_and_turns_of_a_conversation_are_the_same() {
    let plain = open(&ModelSource::Embedded, EngineOptions::default());
    let prompts = tokenize(&plain);
    let together = open(
        &ModelSource::Embedded,
        EngineOptions {
            sequences: 3,
            chunk: Some(16),
            speculation: always(Speculation::lookup()),
            ..EngineOptions::default()
        },
    );
    let options = options(0.0, 0, 40);
    let streams: Vec<_> = prompts
        .iter()
        .map(|prompt| together.generate(prompt.as_slice(), &options).unwrap())
        .collect();
    for (prompt, mut stream) in prompts.iter().zip(streams) {
        stream.text().unwrap();
        assert_eq!(stream.finish().unwrap().tokens, answer(&plain, prompt, &options).tokens);
    }
    let talk = |engine: &Engine| {
        let conversation = engine.conversation();
        let mut tokens = prompts[0].clone();
        for prompt in &prompts {
            tokens.extend(prompt);
            let mut stream = conversation.generate(tokens.as_slice(), &options).unwrap();
            stream.text().unwrap();
            tokens.extend(&stream.finish().unwrap().tokens);
        }
        tokens
    };
    assert_eq!(talk(&together), talk(&plain));
}

#[test]
fn limits_of_answer_and_context_are_kept() {
    let plain = open(&ModelSource::Embedded, EngineOptions::default());
    let prompt = &tokenize(&plain)[0];
    let guessing = |context| {
        let speculation = always(Speculation::lookup());
        let options = EngineOptions { context, speculation, ..EngineOptions::default() };
        open(&ModelSource::Embedded, options)
    };
    for max_tokens in [1, 2, 3, 17] {
        let found = answer(&guessing(None), prompt, &options(0.0, 0, max_tokens));
        assert_eq!(found.tokens.len(), max_tokens);
    }
    let context = prompt.len() + 21;
    let small = EngineOptions { context: Some(context), ..EngineOptions::default() };
    let expected = answer(&open(&ModelSource::Embedded, small), prompt, &options(0.0, 0, 999));
    let found = answer(&guessing(Some(context)), prompt, &options(0.0, 0, 999));
    assert_eq!((found.tokens, found.reason), (expected.tokens, expected.reason));
}

/// Pearson's test of draws against the probabilities of the model itself.
#[test]
fn draws_behind_right_guesses_follow_the_distribution() {
    const KEEP: usize = 3;
    const DRAWS: u64 = 3000;
    if is_emulated() {
        eprintln!("skipped: drawing does not depend on the instruction set");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let draft = ModelSource::Path(changed_model(folder.path()));
    let speculation = Speculation { max: 2, ..always(Speculation::draft(draft)) };
    let engine =
        open(&ModelSource::Embedded, EngineOptions { speculation, ..EngineOptions::default() });
    let prompt = &tokenize(&engine)[1];
    let mut accepted = 0;
    let mut counts: BTreeMap<Vec<u32>, BTreeMap<u32, usize>> = BTreeMap::new();
    for seed in 0..DRAWS {
        let mut options = options(1.0, seed, 3);
        options.sampling.top_k = KEEP;
        (options.sampling.top_p, options.sampling.min_p) = (1.0, 0.0);
        let finish = answer(&engine, prompt, &options);
        accepted += finish.stats.accepted_tokens;
        *counts
            .entry(finish.tokens[..2].to_vec())
            .or_default()
            .entry(finish.tokens[2])
            .or_default() += 1;
    }
    assert!((500..3000).contains(&accepted), "{accepted} of {DRAWS}");
    let (before, drawn) =
        counts.iter().max_by_key(|(_, drawn)| drawn.values().sum::<usize>()).unwrap();
    let total: usize = drawn.values().sum();
    assert!(total > 300, "{total}");
    let logits = engine.evaluate(&[prompt.as_slice(), before].concat()).unwrap();
    let last = logits.rows().row(logits.rows().len() - 1);
    let mut likeliest: Vec<(u32, f64)> =
        (0..).zip(last.iter().map(|&logit| f64::from(logit))).collect();
    likeliest.sort_by(|a, b| b.1.total_cmp(&a.1));
    let weights: Vec<(u32, f64)> =
        likeliest[..KEEP].iter().map(|&(token, logit)| (token, logit.exp())).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let chi_square: f64 = weights
        .iter()
        .map(|(token, weight)| {
            let expected = total as f64 * weight / sum;
            let found = drawn.get(token).copied().unwrap_or(0) as f64;
            (found - expected).powi(2) / expected
        })
        .sum();
    // Two degrees of freedom: one in a thousand exceeds this.
    assert!(chi_square < 13.8, "{chi_square}: {drawn:?} where {weights:?}");
}

#[test]
fn a_draft_model_with_another_vocabulary_is_refused() {
    let Some(stories) = shared("models/stories260k/stories260k-q8_0.gguf") else { return };
    let speculation = Speculation::draft(ModelSource::Path(stories));
    let options = EngineOptions { speculation, ..EngineOptions::default() };
    let Err(told) = Engine::open(&ModelSource::Embedded, &options) else { panic!("opened") };
    let told = told.to_string();
    assert!(told.contains("stories260k") && told.contains("same family"), "{told}");
}

#[test]
fn caches_that_cannot_go_back_are_refused() {
    let eviction = Eviction { policy: EvictionPolicy::H2o, keep: 8 };
    for visibility in [
        Visibility { eviction: Some(eviction), ..Visibility::default() },
        Visibility { window: Window::Adaptive { least: 4, most: 8 }, ..Visibility::default() },
    ] {
        let speculation = Speculation::lookup();
        let options = EngineOptions { speculation, visibility, ..EngineOptions::default() };
        let Err(told) = Engine::open(&ModelSource::Embedded, &options) else { panic!("opened") };
        assert!(told.to_string().contains("speculation and"), "{told}");
    }
}

#[test]
fn a_draft_model_is_part_of_the_plan() {
    let plan = |speculation| {
        let options = EngineOptions { speculation, ..EngineOptions::default() };
        edgeformer::Plan::of(&ModelSource::Embedded, &options).unwrap()
    };
    let (plain, draft) =
        (plan(Speculation::default()), plan(Speculation::draft(ModelSource::Embedded)));
    assert_eq!(plain.draft, 0);
    assert!(draft.draft > plain.footprint.weights);
    assert!(draft.total() >= plain.total() + draft.draft);
}

/// The file of a conversation's cache after an answer.
fn saved(engine: &Engine, prompt: &[u32], options: &GenerateOptions) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let conversation = engine.conversation();
    conversation.generate(prompt, options).unwrap().text().unwrap();
    conversation.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if is_emulated() { 4 } else { 24 }))]

    /// What was guessed wrongly leaves no bit behind.
    #[test]
    fn rolling_back_leaves_the_same_cache(
        prompt in proptest::collection::vec(3u32..40, 1..40),
        tokens in 1usize..50,
        seed in 0u64..1000,
        max in 1usize..=31,
        page_tokens in prop_oneof![Just(4usize), Just(16), Just(64)],
        format in prop_oneof![Just(CacheFormat::F16), Just(CacheFormat::Q8_0), Just(CacheFormat::Q4_0)],
    ) {
        let kind = EngineOptions {
            cache_type_k: Some(format),
            cache_type_v: Some(format),
            page_tokens,
            context: Some(128),
            ..EngineOptions::default()
        };
        let plain = open(&ModelSource::Embedded, kind.clone());
        let speculation = Speculation { max, ..always(Speculation::lookup()) };
        let guessing = open(&ModelSource::Embedded, EngineOptions { speculation, ..kind });
        let options = options(0.7, seed, tokens);
        prop_assert!(saved(&guessing, &prompt, &options) == saved(&plain, &prompt, &options));
    }
}
