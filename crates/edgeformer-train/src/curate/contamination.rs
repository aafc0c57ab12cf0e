//! Texts that a model will be measured with, found in what it would learn.
//!
//! A run of 13 words that both have is an overlap. Where one of the texts is shorter, all of it is
//! the run, down to eight words: the lengths are those of GPT-3's analysis (Brown et al. 2020,
//! appendix C).

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::words::{hash, words};
use crate::data::{Lines, MAX_LINE};
use crate::{Error, Result};

/// Words of a run.
const RUN: usize = 13;
/// Shorter texts than this say too little to be recognised by.
const LEAST: usize = 8;
/// Lengths of texts that are a run as a whole.
const SHORT: std::ops::Range<usize> = LEAST..RUN;

/// Runs of words of evaluation files.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    files: Vec<PathBuf>,
    /// Long runs, and short texts as a whole: looked for anywhere in a text.
    anywhere: Runs,
    /// Short runs: each must be all of a text.
    wholes: Runs,
}

/// Runs of words of some lengths, and the files that they are of.
#[derive(Debug, Clone, Default)]
struct Runs {
    lengths: BTreeSet<usize>,
    files: HashMap<u64, u32>,
}

/// What a text shares with an evaluation file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap<'a> {
    /// The file.
    pub file: &'a Path,
    /// The words.
    pub words: String,
}

impl Evaluation {
    /// Reads evaluation files, to be looked for in `texts`: of JSON (`.json`, `.jsonl`, `.ndjson`)
    /// every string, whatever the fields are called; of any other file the text.
    ///
    /// # Errors
    /// If a file cannot be read, or is no JSON where its name says so.
    pub fn read<'a>(paths: &[PathBuf], texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut evaluation = Self { files: paths.to_vec(), ..Self::default() };
        evaluation.anywhere.lengths.insert(RUN);
        let lengths = texts.into_iter().map(|text| words(text).len());
        evaluation.wholes.lengths = lengths.filter(|length| SHORT.contains(length)).collect();
        for (file, path) in paths.iter().enumerate() {
            strings(path, &mut |text| evaluation.add(text, file as u32))?;
        }
        Ok(evaluation)
    }

    fn add(&mut self, text: &str, file: u32) {
        let words = words(text);
        for &length in &self.wholes.lengths {
            for run in words.windows(length) {
                self.wholes.files.entry(hash(run)).or_insert(file);
            }
        }
        let length = if SHORT.contains(&words.len()) { words.len() } else { RUN };
        self.anywhere.lengths.insert(length);
        for run in words.windows(length) {
            self.anywhere.files.entry(hash(run)).or_insert(file);
        }
    }

    /// What a text shares with one of the files, the longest and first run of it.
    pub fn overlap(&self, text: &str) -> Option<Overlap<'_>> {
        let words = words(text);
        let whole = SHORT.contains(&words.len()).then(|| self.wholes.files.get(&hash(&words)));
        if let Some(&file) = whole.flatten() {
            return Some(self.told(file, &words));
        }
        for &length in self.anywhere.lengths.iter().rev() {
            for run in words.windows(length) {
                if let Some(&file) = self.anywhere.files.get(&hash(run)) {
                    return Some(self.told(file, run));
                }
            }
        }
        None
    }

    fn told(&self, file: u32, words: &[String]) -> Overlap<'_> {
        Overlap { file: &self.files[file as usize], words: words.join(" ") }
    }
}

/// Shows every text of a file.
fn strings(path: &Path, show: &mut dyn FnMut(&str)) -> Result<()> {
    let wrong = |problem: String| Error::file(path, problem);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => lines(path, show),
        "json" => {
            let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            texts_of(&value, show);
            Ok(())
        }
        _ => {
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            show(&text);
            Ok(())
        }
    }
}

fn lines(path: &Path, show: &mut dyn FnMut(&str)) -> Result<()> {
    let wrong = |error: std::io::Error| Error::file(path, error.to_string());
    let file = std::fs::File::open(path).map_err(wrong)?;
    for line in Lines::new(std::io::BufReader::new(file), MAX_LINE) {
        let line = line.map_err(wrong)?;
        let told = |problem| Error::Line { path: path.to_owned(), line: line.number, problem };
        let text = line.text.map_err(told)?;
        if text.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        texts_of(&value, show);
    }
    Ok(())
}

fn texts_of(value: &Value, show: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => show(text),
        Value::Array(values) => values.iter().for_each(|value| texts_of(value, show)),
        Value::Object(fields) => fields.values().for_each(|value| texts_of(value, show)),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(name: &str, text: &str, pool: &[&str]) -> Result<Evaluation> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Evaluation::read(&[path], pool.iter().copied())
    }

    const LONG: &str = "one two three four five six seven eight nine ten eleven twelve thirteen";

    #[test]
    fn long_runs_are_found_wherever_they_stand() {
        let text = format!("{{\"a\": [{{\"deep\": \"before {LONG} behind\"}}], \"b\": 3}}\n");
        let evaluation = reading("test.jsonl", &text, &[]).unwrap();
        let asked = format!("Well: {}, you know", LONG.to_uppercase());
        let overlap = evaluation.overlap(&asked).unwrap();
        assert_eq!(overlap.words, LONG);
        assert!(overlap.file.ends_with("test.jsonl"));
        let other = asked.replace("SEVEN", "7");
        assert_eq!(evaluation.overlap(&other), None);
    }

    const SHORT_ONE: &str = "how many legs has a dog of two years";

    #[test]
    fn short_texts_are_found_in_long_ones() {
        let text = format!("[{SHORT_ONE:?}, \"too short\"]");
        let evaluation = reading("a.json", &text, &[]).unwrap();
        let long = format!("Tell me {SHORT_ONE}, and why it is not more than that");
        assert_eq!(evaluation.overlap(&long).unwrap().words, SHORT_ONE);
        assert_eq!(evaluation.overlap("this is too short"), None);
    }

    #[test]
    fn short_texts_are_found_within_the_files_as_a_whole() {
        let text = format!("He asked {SHORT_ONE}, which is too short to be true for anyone.");
        let evaluation = reading("a.txt", &text, &[SHORT_ONE, "too short"]).unwrap();
        assert!(evaluation.overlap(SHORT_ONE).is_some());
        assert_eq!(evaluation.overlap("too short"), None);
        let around = format!("Tell me {SHORT_ONE}, and why it is not more than that");
        assert_eq!(evaluation.overlap(&around), None, "eight words of a long text are no overlap");
    }

    #[test]
    fn files_that_are_no_json_are_told_with_their_line() {
        let told = reading("a.jsonl", "\"fine\"\n{\n", &[]).unwrap_err().to_string();
        assert!(told.contains("a.jsonl:2: "), "{told}");
        assert!(reading("a.json", "{", &[]).is_err());
    }
}
