//! What ways to keep the past may cost in quality, on a real model of 260,000 parameters.

use std::path::{Path, PathBuf};

use edgeformer_bench::cache::QualityJob;
use edgeformer_bench::{ModelChoice, Quality, Subject};

/// Tokens of text that are read.
const TOKENS: usize = 16_384;

/// The reference data, or a line that says that a test is skipped.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("EDGEFORMER_SHARED").map_or(beside, PathBuf::from);
    if shared.join("models/stories260k").exists() {
        return Some(shared);
    }
    eprintln!("skipped: {} holds no reference data (set EDGEFORMER_SHARED)", shared.display());
    None
}

/// Each configuration against f16.
fn qualities<const N: usize>(shared: &Path, names: [&str; N]) -> [Quality; N] {
    let path = shared.join("models/stories260k/stories260k-f32.gguf");
    let model = ModelChoice { path, threads: None };
    let subject = Subject::open(&model, true).expect("the model opens");
    let text = shared.join("data/tinystories-sample/tinystories_200k.txt");
    let mut tokens = subject.tokens_of(&text).expect("the text has tokens");
    tokens.truncate(TOKENS);
    names.map(|name| {
        let job = QualityJob {
            model: model.clone(),
            configuration: name.parse().expect("the name is known"),
            tokens: tokens.clone(),
            context: subject.trained_context(),
            beginning: subject.beginning(),
        };
        job.run().unwrap_or_else(|error| panic!("{name}: {error}"))
    })
}

#[test]
fn an_exact_cache_and_the_baseline_are_where_they_should_be() {
    let Some(shared) = shared() else { return };
    let [same, exact] = qualities(&shared, ["f16", "f32"]);
    assert_eq!((same.divergence, same.same_top, same.perplexity_ratio()), (0.0, 1.0, 1.0));
    // The model was trained on such texts.
    assert!(same.perplexity > 2.0 && same.perplexity < 8.0, "{same:?}");
    assert!(exact.divergence > 0.0 && exact.divergence < 1e-5, "{exact:?}");
}

#[test]
fn eight_bits_are_nearly_free() {
    let Some(shared) = shared() else { return };
    let [quality] = qualities(&shared, ["q8_0"]);
    assert!(quality.divergence > 0.0 && quality.divergence <= 0.002, "{quality:?}");
    assert!(quality.perplexity_ratio() <= 1.002, "{quality:?}");
}

#[test]
fn rotated_keys_survive_four_bits_better() {
    let Some(shared) = shared() else { return };
    let [rotated, plain] = qualities(&shared, ["q4_0h", "q4_0"]);
    assert!(rotated.divergence < plain.divergence, "{rotated:?} {plain:?}");
    assert!(rotated.perplexity < plain.perplexity, "{rotated:?} {plain:?}");
}

#[test]
fn spilled_pages_say_what_they_said_in_memory() {
    let Some(shared) = shared() else { return };
    let [spilled, chosen] = qualities(&shared, ["spilled 1/4", "pages 8"]);
    assert_eq!((spilled.divergence, spilled.perplexity_ratio()), (0.0, 1.0), "{spilled:?}");
    // Eight pages of 64 tokens are all of a window of 512.
    assert_eq!((chosen.divergence, chosen.perplexity_ratio()), (0.0, 1.0), "{chosen:?}");
}

#[test]
fn what_is_not_seen_is_missed() {
    let Some(shared) = shared() else { return };
    let names = ["window 256", "pages 4", "h2o 128", "snapkv 128", "cold q4_0"];
    for (name, quality) in names.iter().zip(qualities(&shared, names)) {
        assert!(quality.divergence > 0.0, "{name} has no effect: {quality:?}");
        assert!(quality.perplexity_ratio() < 2.0, "{name} breaks the model: {quality:?}");
    }
}
