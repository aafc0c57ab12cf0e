//! Whole evaluations, over the embedded model and over one of 260,000 parameters.

use std::cell::Cell;
use std::path::Path;

use edgeformer_conformance::shared;

use super::*;
use crate::{CacheFormat, Engine, EngineOptions, ModelSource};

const TEXT: &str = "To be, or not to be, that is the question: whether 'tis nobler in the mind to \
                    suffer the slings and arrows of outrageous fortune, or to take arms.\n";

fn options(context: usize) -> EngineOptions {
    EngineOptions {
        context: Some(context),
        output_rows: Some(7),
        cache_type_k: Some(CacheFormat::F32),
        cache_type_v: Some(CacheFormat::F32),
        ..EngineOptions::default()
    }
}

fn embedded(context: usize) -> Subject {
    Subject::open(&ModelSource::Embedded, &options(context), Activations::AsUsual).unwrap()
}

/// A file of the small model, as it is or in floats.
fn story(name: &str, activations: Activations) -> Option<Subject> {
    let path = shared(&format!("models/stories260k/stories260k-{name}.gguf"))?;
    Some(Subject::open(&ModelSource::Path(path), &options(128), activations).unwrap())
}

fn stories() -> Option<String> {
    let text = read_text(&shared("data/tinystories-sample/tinystories_200k.txt")?).unwrap();
    Some(text.chars().take(8000).collect())
}

/// Perplexity by the definition: every window's logits at once, probabilities in f64.
fn plain(source: &ModelSource, windows: &Windows) -> f64 {
    let engine = Engine::open(source, &options(windows.context())).unwrap();
    let (mut nll, mut count) = (0.0, 0usize);
    for chunk in windows.tokens().chunks_exact(windows.context()) {
        let logits = engine.evaluate(chunk).unwrap();
        for position in windows.context() / 2..windows.context() - 1 {
            let row = logits.rows().row(position);
            let exps: Vec<f64> = row.iter().map(|&logit| f64::from(logit).exp()).collect();
            let right = exps[chunk[position + 1] as usize];
            nll -= (right / exps.iter().sum::<f64>()).ln();
            count += 1;
        }
    }
    (nll / count as f64).exp()
}

#[test]
fn perplexity_is_what_its_definition_says() {
    let Some(text) = stories() else { return };
    for name in ["f32", "q8_0", "q4_0"] {
        let Some(subject) = story(name, Activations::AsUsual) else { return };
        let windows = text_windows(&subject, &text, None).unwrap();
        let found = perplexity(&subject, &windows, &Control::default()).unwrap();
        let path = shared(&format!("models/stories260k/stories260k-{name}.gguf")).unwrap();
        let expected = plain(&ModelSource::Path(path), &windows);
        assert!((found.perplexity / expected - 1.0).abs() < 1e-6, "{name}: {found:?} {expected}");
        assert!(found.perplexity > 2.0 && found.perplexity < 8.0, "{name}: {found:?}");
        assert_eq!(found.tokens as usize, windows.count() * 63);
        assert!(found.perplexity_error > 0.0 && found.perplexity_error < 0.5, "{name}: {found:?}");
    }
}

#[test]
fn more_context_surprises_less() {
    let Some(text) = stories() else { return };
    let Some(subject) = story("f32", Activations::AsUsual) else { return };
    let of = |stride| {
        let windows = text_windows(&subject, &text, Some(stride)).unwrap();
        perplexity(&subject, &windows, &Control::default()).unwrap()
    };
    let (much, little) = (of(16), of(127));
    assert_eq!(little.stride, Some(127));
    assert!(much.perplexity < little.perplexity, "{much:?} {little:?}");
}

#[test]
fn a_model_does_not_diverge_from_itself_and_does_from_others() {
    let Some(text) = stories() else { return };
    let open = |name, activations| story(name, activations);
    let Some(f32) = open("f32", Activations::AsUsual) else { return };
    let windows = text_windows(&f32, &text, None).unwrap();
    let kl = |candidate: &Subject| compare(&f32, candidate, &windows, &Control::default()).unwrap();
    let same = kl(&f32);
    assert_eq!((same.kl_mean, same.kl_max, same.top1_agreement), (0.0, 0.0, 1.0));
    assert_eq!((same.perplexity_ratio, same.p_change_rms), (1.0, 0.0));
    let [q8, q4] = ["q8_0", "q4_0"].map(|name| kl(&open(name, Activations::AsUsual).unwrap()));
    assert!(0.0 < q8.kl_mean && q8.kl_mean < q4.kl_mean, "{q8:?} {q4:?}");
    assert!(q8.top1_agreement > q4.top1_agreement && q4.top1_agreement > 0.5);
    assert!(q4.kl_median <= q4.kl_p90 && q4.kl_p90 <= q4.kl_p99 && q4.kl_p99 <= q4.kl_max);
    assert!(q4.kl_mean_ci95.low < q4.kl_mean && q4.kl_mean < q4.kl_mean_ci95.high);
    assert_eq!((q4.by_position.len(), q4.intervals_from), (16, "windows"));
    // Without the rounding of activations only that of the weights is left.
    let floats = kl(&open("q4_0", Activations::F32).unwrap());
    assert!(floats.kl_mean > 0.0 && floats.kl_mean != q4.kl_mean, "{floats:?} {q4:?}");
    let wide = kl(&open("f32", Activations::F32).unwrap());
    assert_eq!(wide.kl_mean, 0.0, "weights that are floats stay as they are");
}

#[test]
fn a_reference_that_is_kept_says_the_same() {
    let subject = embedded(32);
    let windows = text_windows(&subject, TEXT, None).unwrap();
    let floats = Subject::open(&ModelSource::Embedded, &options(32), Activations::F32).unwrap();
    let open = |subject: &Subject| Reader::open(&subject.program, &subject.session).unwrap();
    let (mut plain, mut candidate) = (open(&subject), open(&floats));
    let mut reference = Reference::open(&subject, &windows).unwrap();
    for (index, window) in windows.iter().enumerate() {
        let expected = diverge(&mut plain, &mut candidate, &window).unwrap();
        assert!(expected.kl.mean() > 0.0);
        for _ in 0..2 {
            assert_eq!(reference.diverge(&mut candidate, index).unwrap(), expected);
        }
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let subject = embedded(32);
    let text = TEXT.repeat(6);
    let windows = text_windows(&subject, &text, None).unwrap();
    assert!(windows.count() > 5);
    let folder = tempfile::tempdir().unwrap();
    let whole = perplexity(&subject, &windows, &Control::default()).unwrap();
    let path = folder.path().join("perplexity.json");
    let pieces = |run: &dyn Fn(&Control<'_>) -> crate::Result<()>, path: &Path| {
        for _ in 0..2 {
            let left = Cell::new(3);
            let stopped = || left.replace(left.get() - 1) == 0;
            let control = Control { resume: Some(path), stopped: &stopped, ..Control::default() };
            assert!(matches!(run(&control), Err(crate::Error::Interrupted { .. })));
        }
    };
    pieces(&|control| perplexity(&subject, &windows, control).map(drop), &path);
    let rest = Control { resume: Some(&path), ..Control::default() };
    assert_eq!(perplexity(&subject, &windows, &rest).unwrap(), whole);

    let other = EngineOptions { cache_type_k: Some(CacheFormat::Q8_0), ..options(32) };
    let other = Subject::open(&ModelSource::Embedded, &other, Activations::AsUsual).unwrap();
    let told = perplexity(&other, &windows, &rest).unwrap_err().to_string();
    assert!(told.contains("another run, with another --model or way to run it"), "{told}");
    let told = compare(&subject, &other, &windows, &rest).unwrap_err().to_string();
    assert!(told.contains("another command"), "{told}");

    let whole = compare(&subject, &other, &windows, &Control::default()).unwrap();
    let path = folder.path().join("kl.json");
    pieces(&|control| compare(&subject, &other, &windows, control).map(drop), &path);
    let rest = Control { resume: Some(&path), ..Control::default() };
    assert_eq!(compare(&subject, &other, &windows, &rest).unwrap(), whole);
    assert!(whole.kl_mean > 0.0);
}

#[test]
fn choices_are_scored_as_whole_texts_are() {
    let two = EngineOptions { sequences: 2, ..options(64) };
    let subject = Subject::open(&ModelSource::Embedded, &two, Activations::AsUsual).unwrap();
    let questions = [
        ("KING RICHARD III:\nMy lord, the", ["king", "zebra stood upon", "of"]),
        ("First Citizen:\nBefore we proceed any further, hear me", ["speak.", "x", "To be"]),
        ("a", ["b", "bb", "a"]),
    ];
    let whole = |context: &str, end: &str| {
        let tokens = subject.tokenize(&format!("{context} {end}")).unwrap();
        let from = subject.tokenize(context).unwrap().len();
        let mut reader = Reader::open(&subject.program, &subject.session).unwrap();
        let (mut score, mut row) = (0.0, 0);
        reader.begin(&[]).unwrap();
        let read = |logits: &[f32], next| {
            row += 1;
            if row >= from {
                score += LogSoftmax::of(logits)?.of_token(next)?;
            }
            Ok(())
        };
        reader.branch(&tokens[..tokens.len() - 1], &tokens[1..], read).unwrap();
        score
    };
    for (context, ends) in questions {
        let scores = ends.map(|end| whole(context, end));
        let best = (0..3).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        let norm = |at: usize| scores[at] / ends[at].len() as f64;
        let best_norm = (0..3).max_by(|&a, &b| norm(a).total_cmp(&norm(b))).unwrap();
        for label in 0..3 {
            let question = Question {
                line: 1,
                context: context.into(),
                choices: ends.map(String::from).to_vec(),
                label,
            };
            let found = answer(&subject, &[question], &Control::default()).unwrap();
            assert_eq!(
                (found.acc == 1.0, found.acc_norm == 1.0),
                (label == best, label == best_norm)
            );
        }
    }
}

#[test]
fn references_of_other_vocabularies_are_refused() {
    let Some(other) = story("f32", Activations::AsUsual) else { return };
    let subject = embedded(32);
    let told = subject.check_vocabulary(&other).unwrap_err().to_string();
    assert!(told.contains("different vocabularies") && told.contains("512"), "{told}");
}

#[test]
fn models_without_a_tokenizer_say_so() {
    let silent = EngineOptions { tokenizer: false, ..options(32) };
    let subject = Subject::open(&ModelSource::Embedded, &silent, Activations::AsUsual).unwrap();
    assert!(subject.tokenize("a").unwrap_err().to_string().contains("no tokenizer"));
}
