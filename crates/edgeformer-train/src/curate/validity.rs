//! Records that nobody should learn from, by their text alone.

use std::collections::HashSet;

use super::reason::{Part, Reason};
use super::words::{hash, words};
use crate::data::Record;

/// Words of a run that is looked for twice.
const RUN: usize = 5;

/// What a valid record is.
#[derive(Debug, Clone, PartialEq)]
pub struct Validity {
    /// Characters of a record, question and answer together, at least.
    pub min_chars: usize,
    /// Characters at most.
    pub max_chars: usize,
    /// Tokens at least, where a model counts them.
    pub min_tokens: Option<usize>,
    /// Tokens at most, where a model counts them.
    pub max_tokens: Option<usize>,
    /// Share of an answer's runs of five words that may have come before in it (of the repetition
    /// rules of Rae et al. 2021, "Scaling Language Models: Gopher", section A.1).
    pub max_repetition: f64,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            min_chars: 1,
            max_chars: 100_000,
            min_tokens: None,
            max_tokens: None,
            max_repetition: 0.3,
        }
    }
}

impl Validity {
    /// Why a record is not valid, tokens left aside.
    pub(super) fn check(&self, record: &Record) -> Option<Reason> {
        let (question, answer) = (record.question(), record.answer());
        if question.as_deref().is_some_and(|question| question.trim().is_empty()) {
            return Some(Reason::Empty { part: Part::Question });
        }
        if answer.trim().is_empty() {
            return Some(Reason::Empty { part: Part::Answer });
        }
        let whole = record.whole();
        let chars = whole.chars().count();
        if chars < self.min_chars {
            return Some(Reason::TooShort {
                unit: "characters",
                length: chars,
                least: self.min_chars,
            });
        }
        if chars > self.max_chars {
            return Some(Reason::TooLong {
                unit: "characters",
                length: chars,
                most: self.max_chars,
            });
        }
        if let Some(character) = whole.chars().find(|&character| is_invalid(character)) {
            let character = format!("U+{:04X}", u32::from(character));
            return Some(Reason::ControlCharacter { character });
        }
        let answer = words(&answer);
        if !answer.is_empty() && question.is_some_and(|question| words(&question) == answer) {
            return Some(Reason::AnswerIsQuestion);
        }
        let share = repetition(&answer);
        (share > self.max_repetition).then_some(Reason::Repetition { share })
    }

    /// Why a record of so many tokens is not valid.
    pub(super) fn check_tokens(&self, tokens: usize) -> Option<Reason> {
        let (unit, length) = ("tokens", tokens);
        match (self.min_tokens, self.max_tokens) {
            (Some(least), _) if tokens < least => Some(Reason::TooShort { unit, length, least }),
            (_, Some(most)) if tokens > most => Some(Reason::TooLong { unit, length, most }),
            _ => None,
        }
    }
}

/// What no text has: control characters other than tabs and line ends, marks of failed decoding,
/// code points that are no characters, overrides of the direction of writing.
fn is_invalid(character: char) -> bool {
    let code = u32::from(character);
    match character {
        '\t' | '\n' | '\r' => false,
        '\u{fffd}' | '\u{202d}' | '\u{202e}' => true,
        _ => character.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe,
    }
}

/// The share of runs that came before.
fn repetition(words: &[String]) -> f64 {
    let mut seen = HashSet::new();
    let runs = words.len().saturating_sub(RUN - 1);
    let again = words.windows(RUN).filter(|run| !seen.insert(hash(run))).count();
    again as f64 / runs.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::parse;

    fn reason(question: &str, answer: &str) -> Option<&'static str> {
        let line = serde_json::json!({ "question": question, "answer": answer }).to_string();
        let validity = Validity { min_chars: 4, max_chars: 400, ..Validity::default() };
        validity.check(&parse(&line).unwrap().record).map(|reason| reason.name())
    }

    #[test]
    fn every_rule_has_its_reason() {
        assert_eq!(reason("What is it?", "It is\ta thing.\n"), None);
        assert_eq!(reason(" \n", "a"), Some("empty"));
        assert_eq!(reason("a", ""), Some("empty"));
        assert_eq!(reason("a", "b"), Some("too_short"));
        assert_eq!(reason("a", &"b".repeat(400)), Some("too_long"));
        assert_eq!(reason("What is it?", "what IS it"), Some("answer_is_question"));
        assert_eq!(reason("What?", &"so it goes and on ".repeat(6)), Some("repetition"));
        for wrong in ["\0", "\u{1b}", "\u{85}", "\u{fffd}", "\u{202e}", "\u{ffff}", "\u{fdd0}"] {
            assert_eq!(reason("What is it?", &format!("a{wrong}b")), Some("control_character"));
        }
        assert_eq!(reason("Was?", "Größe 👍 שלום"), None);
    }

    #[test]
    fn tokens_are_counted_where_there_is_a_model() {
        let validity = Validity { min_tokens: Some(3), max_tokens: Some(5), ..Validity::default() };
        let names = [2, 3, 5, 6].map(|tokens| validity.check_tokens(tokens).map(|r| r.name()));
        assert_eq!(names, [Some("too_short"), None, None, Some("too_long")]);
        assert!(Validity::default().check_tokens(1_000_000).is_none());
    }
}
