//! Whole curations, with a judge that is a table.

use std::path::{Path, PathBuf};

use super::*;
use crate::data::{Pool, Strictness, Template};
use crate::{Error, Result};

/// A judge whose loss grows with the answer's length; the question helps if it is not `"noise"`.
/// It answers 7 and, as often as the question has `x`, 42.
struct Table;

impl Judge for Table {
    fn template(&self) -> Option<&dyn Template> {
        None
    }

    fn context(&self) -> usize {
        40
    }

    fn tokens(&mut self, text: &str) -> Result<usize> {
        Ok(text.split_whitespace().count())
    }

    fn loss(&mut self, prompt: &str, answer: &str) -> Result<Option<f64>> {
        let helps = !prompt.is_empty() && !prompt.contains("noise");
        if answer == "one" {
            return Ok(None);
        }
        Ok(Some(answer.len() as f64 / 10.0 - if helps { 0.5 } else { 0.0 }))
    }

    fn sample(&mut self, prompt: &str, count: usize, _: u64) -> Result<Vec<String>> {
        let right = prompt.matches('x').count();
        Ok((0..count).map(|index| if index < right { "42".into() } else { "7".into() }).collect())
    }
}

impl Embedder for Table {
    fn embed(&mut self, text: &str) -> Result<Vec<f32>> {
        let count = |letter: char| text.chars().filter(|&found| found == letter).count() as f32;
        Ok(vec![count('p'), count('q'), 0.1])
    }
}

fn pool(lines: &[&str]) -> Pool {
    Pool::read(Path::new("pool.jsonl"), lines.join("\n").as_bytes(), Strictness::Skip).unwrap()
}

/// Lines and the reasons for which they were dropped.
fn outcome(pool: &Pool, options: &Options) -> Vec<(u64, Option<&'static str>)> {
    let (mut judge, mut embedder) = (Table, Table);
    let mut models = Models { judge: Some(&mut judge), embedder: Some(&mut embedder) };
    let curated = curate(pool, options, &mut models, &Watch::default()).unwrap();
    let reason = |verdict: &Verdict| verdict.dropped.as_ref().map(|(_, reason)| reason.name());
    let lines = pool.entries.iter().map(|entry| entry.line);
    lines.zip(curated.verdicts.iter().map(reason)).collect()
}

fn question(question: &str, answer: &str) -> String {
    serde_json::json!({ "question": question, "answer": answer }).to_string()
}

fn lines(questions: &[(&str, &str)]) -> Pool {
    let lines: Vec<String> = questions.iter().map(|(q, a)| question(q, a)).collect();
    pool(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn questions_that_do_not_help_are_dropped() {
    let pool = lines(&[("a", "four letters"), ("noise", "four letters"), ("b", "more")]);
    let options = Options { ifd_below: Some(1.0), ..Options::default() };
    let expected = [(1, None), (2, Some("question_does_not_help")), (3, None)];
    assert_eq!(outcome(&pool, &options), expected);
}

#[test]
fn a_band_of_losses_is_kept() {
    let answers = ["a", "bb", "ccc", "dddd"].map(|answer| ("q", answer));
    let options = Options { loss_band: Some(Band { low: 0.25, high: 0.75 }), ..Options::default() };
    let found = outcome(&lines(&answers), &options);
    let kept: Vec<u64> =
        found.iter().filter(|(_, reason)| reason.is_none()).map(|(line, _)| *line).collect();
    assert_eq!(kept, [2, 3]);
}

#[test]
fn what_is_solved_too_often_or_never_is_dropped() {
    let pool = lines(&[("none", "42"), ("x", "42"), ("xxxx", "42"), ("x", "no number")]);
    let solved = Solved { samples: 4, right: 1..=3, check: "numeric".parse().unwrap() };
    let options = Options { solved: Some(solved), ..Options::default() };
    let expected =
        [(1, Some("too_hard")), (2, None), (3, Some("too_easy")), (4, Some("unchecked"))];
    assert_eq!(outcome(&pool, &options), expected);
}

#[test]
fn what_the_model_cannot_read_is_dropped() {
    let long = "word ".repeat(50);
    let chat = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let text = r#"{"text": "one"}"#;
    let pool = pool(&[&question("a", &long), chat, &question("a", "b"), text]);
    let options = Options { loss: true, ..Options::default() };
    let expected =
        [(1, Some("too_long")), (2, Some("template")), (3, None), (4, Some("too_short"))];
    assert_eq!(outcome(&pool, &options), expected);
}

#[test]
fn the_best_are_kept_within_quotas() {
    let record = |class: &str, answer: &str| {
        serde_json::json!({ "question": "q", "answer": answer, "class": class }).to_string()
    };
    let lines = [
        record("a", "one two three four"),
        record("a", "one two three"),
        record("b", "one"),
        record("a", "one two three four five"),
    ];
    let pool = pool(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut options = Options { quality: Some(Weights::default()), ..Options::default() };
    options.selection.keep = Some(2);
    let expected = [(1, None), (2, Some("not_chosen")), (3, Some("not_chosen")), (4, None)];
    assert_eq!(outcome(&pool, &options), expected);
    options.selection.quota = Some("class".parse().unwrap());
    let expected = [(1, Some("quota")), (2, Some("quota")), (3, None), (4, None)];
    assert_eq!(outcome(&pool, &options), expected);
    options.selection.candidates = Some(1);
    options.selection.quota = None;
    assert_eq!(outcome(&pool, &options)[3], (4, None));
}

#[test]
fn what_resembles_what_is_kept_is_dropped() {
    let pool = lines(&[("pppp", "a"), ("ppppp", "b"), ("qq", "c")]);
    let mut options = Options::default();
    options.selection.method = Method::KCenter;
    options.selection.max_similarity = Some(0.9);
    let expected = [(1, None), (2, Some("too_similar")), (3, None)];
    assert_eq!(outcome(&pool, &options), expected);
}

#[test]
fn chance_depends_on_the_seed_alone() {
    let texts: Vec<String> = (0..40).map(|index| format!("answer {index}")).collect();
    let pool = lines(&texts.iter().map(|text| ("q", text.as_str())).collect::<Vec<_>>());
    let mut options = Options { seed: 1, ..Options::default() };
    (options.selection.method, options.selection.keep) = (Method::Random, Some(10));
    let first = outcome(&pool, &options);
    assert_eq!(first.iter().filter(|(_, reason)| reason.is_none()).count(), 10);
    assert_eq!(first, outcome(&pool, &options));
    options.seed = 2;
    assert_ne!(first, outcome(&pool, &options));
}

#[test]
fn stages_without_their_model_are_refused() {
    let pool = lines(&[("a", "b")]);
    let options = Options { loss: true, ..Options::default() };
    let told = curate(&pool, &options, &mut Models::default(), &Watch::default()).unwrap_err();
    assert!(told.to_string().contains("need a model"), "{told}");
    let stopped = Watch { stopped: &|| true, ..Watch::default() };
    let options = Options { validity: Some(Validity::default()), ..Options::default() };
    let told = curate(&pool, &options, &mut Models::default(), &stopped).unwrap_err();
    assert!(matches!(told, Error::Interrupted));
}

#[test]
fn reports_tell_of_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let test: PathBuf = folder.path().join("test.txt");
    let secret = "one two three four five six seven eight nine ten eleven twelve thirteen";
    std::fs::write(&test, secret).unwrap();
    let pool = pool(&[
        &question("What is <b>?", "so it is perhaps b, let me check"),
        "{broken",
        &question("What is <b>?", "so it is perhaps b, let me check"),
        &question("", "a"),
        &question("count", secret),
    ]);
    let options = Options {
        validity: Some(Validity::default()),
        duplicates: Some(Duplicates::default()),
        decontaminate: vec![test],
        quality: Some(Weights::default()),
        ..Options::default()
    };
    let curated = curate(&pool, &options, &mut Models::default(), &Watch::default()).unwrap();
    let mut out = Vec::new();
    jsonl(&curated, &mut out).unwrap();
    let lines: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(u64, Option<&str>)> = lines
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str()))
        .collect();
    let expected = [
        (1, None),
        (2, Some("no_record")),
        (3, Some("near_duplicate")),
        (4, Some("empty")),
        (5, Some("contaminated")),
    ];
    assert_eq!(told, expected);
    assert_eq!((&lines[0]["kept"], &lines[0]["rank"]), (&true.into(), &1.into()));
    assert_eq!((&lines[2]["of"], &lines[2]["jaccard"]), (&1.into(), &1.0.into()));
    assert_eq!(lines[4]["file"], "test.txt");
    let page = html(&curated);
    assert!(page.contains("1 of 5 lines kept") && page.contains("near_duplicate"), "{page}");
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("http"));
    let stages: Vec<(&str, usize, usize)> =
        curated.stages.iter().map(|stage| (stage.stage, stage.records, stage.dropped)).collect();
    let expected = [
        ("validity", 4, 1),
        ("duplicates", 3, 1),
        ("decontamination", 2, 1),
        ("quality", 1, 0),
        ("selection", 1, 0),
    ];
    assert_eq!(stages, expected);
}
