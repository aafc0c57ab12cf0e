//! Questions with answers to choose from, one JSON object a line.

use std::path::Path;

use serde::Deserialize;

use super::read_text;
use crate::{Error, Result};

/// A beginning of a text and ends to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The line of the file, from 1.
    pub line: usize,
    /// The beginning.
    pub context: String,
    /// The ends.
    pub choices: Vec<String>,
    /// Which one is right.
    pub label: usize,
}

/// A line, under the names that data sets use.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "question", alias = "query")]
    context: String,
    choices: Vec<String>,
    #[serde(alias = "answer", alias = "gold")]
    label: Index,
}

/// An index, as a number or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Number(usize),
    Text(String),
}

/// Reads a file of questions.
///
/// # Errors
/// If it cannot be read, or a line is no question: with the line.
pub fn read_questions(path: &Path) -> Result<Vec<Question>> {
    let text = read_text(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            question(number, line).map_err(|problem| Error::EvaluationFile {
                path: path.to_owned(),
                problem: format!("line {number}: {problem}"),
            })
        })
        .collect()
}

fn question(line: usize, text: &str) -> Result<Question, String> {
    let Line { context, choices, label } = serde_json::from_str(text).map_err(|error| {
        format!("{error}; a line is {{\"context\": \"...\", \"choices\": [\"...\"], \"label\": 0}}")
    })?;
    let label = match label {
        Index::Number(label) => label,
        Index::Text(label) => label
            .trim()
            .parse()
            .map_err(|_| format!("label {label:?} is no index: count choices from 0"))?,
    };
    if choices.len() < 2 {
        return Err("there are fewer than two choices".into());
    }
    if label >= choices.len() {
        let count = choices.len();
        return Err(format!("label {label} is outside the {count} choices: they count from 0"));
    }
    if choices.iter().any(String::is_empty) {
        return Err("a choice is empty".into());
    }
    Ok(Question { line, context, choices, label })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_under_the_names_of_data_sets() {
        let expected = Question {
            line: 1,
            context: "a".into(),
            choices: vec!["b".into(), "c".into()],
            label: 1,
        };
        for line in [
            r#"{"context": "a", "choices": ["b", "c"], "label": 1}"#,
            r#"{"question": "a", "choices": ["b", "c"], "answer": 1, "id": "x"}"#,
            r#"{"query": "a", "choices": ["b", "c"], "gold": "1"}"#,
        ] {
            assert_eq!(question(1, line).unwrap(), expected);
        }
    }

    #[test]
    fn wrong_lines_are_told() {
        let problem = |line| question(1, line).unwrap_err();
        assert!(problem(r#"{"context": "a"}"#).contains("choices"));
        assert!(problem(r#"{"context": "a", "choices": ["b"], "label": 0}"#).contains("two"));
        let outside = r#"{"context": "a", "choices": ["b", "c"], "label": 2}"#;
        assert!(problem(outside).contains("label 2 is outside the 2 choices"));
        let letter = r#"{"context": "a", "choices": ["b", "c"], "label": "B"}"#;
        assert!(problem(letter).contains("count choices from 0"));
        assert!(problem(r#"{"context": "a", "choices": ["", "c"], "label": 0}"#).contains("empty"));
    }
}
