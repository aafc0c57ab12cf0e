//! Whether a sampled answer is right.

use std::str::FromStr;

use regex::Regex;

use crate::{Error, Result};

/// What of an answer must be the same as in the record's.
#[derive(Debug, Clone)]
pub enum Check {
    /// The final number: behind `####` or in `\boxed{}` where there is one, else the last.
    Numeric,
    /// All of it, spaces at both ends and case aside.
    Exact,
    /// What a regular expression finds last: its first group, or all of it.
    Pattern(Regex),
}

impl FromStr for Check {
    type Err = Error;

    /// `numeric`, `exact` or `regex:PATTERN`.
    fn from_str(text: &str) -> Result<Self> {
        match (text, text.strip_prefix("regex:")) {
            ("numeric", _) => Ok(Self::Numeric),
            ("exact", _) => Ok(Self::Exact),
            (_, Some(pattern)) => Regex::new(pattern).map(Self::Pattern).map_err(|error| {
                let error = error.to_string();
                let line = error.lines().last().unwrap_or_default().trim().to_owned();
                Error::Request(format!("the pattern {pattern:?} is no regular expression: {line}"))
            }),
            _ => Err(Error::Request(format!(
                "{text:?} is no check: known are numeric, exact and regex:PATTERN"
            ))),
        }
    }
}

/// What an answer comes down to.
#[derive(Debug, Clone, PartialEq)]
pub enum Conclusion {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Check {
    /// What an answer comes down to, `None` if it has nothing that could be checked.
    pub fn conclusion(&self, answer: &str) -> Option<Conclusion> {
        match self {
            Self::Numeric => number(answer).map(Conclusion::Number),
            Self::Exact => Some(Conclusion::Text(answer.trim().to_lowercase())),
            Self::Pattern(pattern) => {
                let found = pattern.captures_iter(answer).last()?;
                let found = found.get(1).or_else(|| found.get(0))?;
                Some(Conclusion::Text(found.as_str().trim().to_owned()))
            }
        }
    }

    /// Whether a sampled answer comes down to that.
    pub fn is_right(&self, sample: &str, expected: &Conclusion) -> bool {
        match (self.conclusion(sample), expected) {
            (Some(Conclusion::Number(found)), Conclusion::Number(expected)) => {
                (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3)
            }
            (found, expected) => found.as_ref() == Some(expected),
        }
    }
}

/// The final number of an answer.
fn number(answer: &str) -> Option<f64> {
    let marked = |mark: &str| answer.rfind(mark).map(|at| &answer[at + mark.len()..]);
    if let Some(number) = marked("####").and_then(first_number) {
        return Some(number);
    }
    if let Some(number) = marked("\\boxed{").and_then(first_number) {
        return Some(number);
    }
    numbers(answer).next_back()
}

fn first_number(text: &str) -> Option<f64> {
    numbers(text).next()
}

/// The numbers of a text: digits with commas between thousands and a point, a sign where nothing
/// stands before that it could subtract from.
fn numbers(text: &str) -> std::vec::IntoIter<f64> {
    let bytes = text.as_bytes();
    let (mut numbers, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = end_of_number(bytes, at);
        let digits: String = text[at..end].chars().filter(|&digit| digit != ',').collect();
        let negative = at > 0 && bytes[at - 1] == b'-' && is_sign(bytes, at - 1);
        if let Ok(number) = digits.parse::<f64>() {
            numbers.push(if negative { -number } else { number });
        }
        at = end;
    }
    numbers.into_iter()
}

fn is_sign(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rev().find(|byte| **byte != b' ');
    let close = at > 0 && bytes[at - 1] == b' ';
    match before {
        Some(byte) if byte.is_ascii_digit() || *byte == b')' => false,
        // A dash within a word, as in `A-4`.
        Some(byte) if byte.is_ascii_alphabetic() => close,
        _ => true,
    }
}

fn end_of_number(bytes: &[u8], start: usize) -> usize {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = start;
    let mut point = false;
    loop {
        let thousands = bytes.get(at) == Some(&b',')
            && !point
            && (at + 1..at + 4).all(is_digit)
            && !is_digit(at + 4);
        let decimal = bytes.get(at) == Some(&b'.') && !point && is_digit(at + 1);
        if !is_digit(at) && !thousands && !decimal {
            return at;
        }
        point |= decimal;
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn right(check: &str, answer: &str, sample: &str) -> bool {
        let check: Check = check.parse().unwrap();
        check.is_right(sample, &check.conclusion(answer).unwrap())
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let answer = "She has 3 + 1,197 = <<3+1197=1200>>1,200 pens.\n#### 1,200";
        for sample in ["1200", "It is $1,200.00.", "\\boxed{1200} and not 3", "5\n#### 1200 pens"] {
            assert!(right("numeric", answer, sample), "{sample}");
        }
        for sample in ["1201", "", "none", "1,200 - 1 = 1199", "-1200"] {
            assert!(!right("numeric", answer, sample), "{sample}");
        }
        assert!("numeric".parse::<Check>().unwrap().conclusion("no digit").is_none());
    }

    #[test]
    fn signs_are_told_from_differences() {
        let all = |text: &str| numbers(text).collect::<Vec<_>>();
        assert_eq!(all("-5 and 3-2, x = -.5, (1)-4, A-4"), [-5.0, 3.0, 2.0, 5.0, 1.0, 4.0, 4.0]);
        assert_eq!(all("12,34 1,234,567.5 0.25."), [12.0, 34.0, 1_234_567.5, 0.25]);
        assert_eq!(all("the sum is -7"), [-7.0]);
    }

    #[test]
    fn texts_and_patterns_are_compared_as_texts() {
        assert!(right("exact", "Yes ", "  yes"));
        assert!(!right("exact", "Yes", "Yes, it is"));
        assert!(right("regex:answer: (\\w+)", "the answer: b", "answer: a? No, answer: b."));
        assert!(right("regex:[A-D]", "B", "A or B"));
        assert!(!right("regex:answer: (\\w+)", "answer: b", "b"));
        let told = "regex:(".parse::<Check>().unwrap_err().to_string();
        assert!(told.contains("no regular expression") && !told.contains('\n'), "{told}");
        assert!("fuzzy".parse::<Check>().unwrap_err().to_string().contains("known are"));
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in "\\PC{0,40}") {
            let _any = number(&text);
        }

        #[test]
        fn a_number_that_is_written_is_found(value in -1_000_000i64..1_000_000, cents in 0u32..100) {
            let written = format!("the result is {value}.{cents:02}, I think");
            let expected: f64 = format!("{value}.{cents:02}").parse().unwrap();
            prop_assert_eq!(number(&written), Some(expected));
        }
    }
}
