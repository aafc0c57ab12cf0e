use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is timed. Reading a prompt and writing an answer are never mixed in one figure, but where
/// that is what was asked for ([`Case::EndToEnd`]).
///
/// Written as llama-bench does: `pp512`, `tg128`, `tg32@d2048`, `pp512@d1024`, `pp16+tg128`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Case {
    /// Reads a prompt, behind `depth` tokens of context.
    Prefill {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens in the cache before the clock starts.
        depth: usize,
    },
    /// Writes tokens one by one, behind `depth` tokens of context.
    Decode {
        /// Tokens that are written.
        tokens: usize,
        /// Tokens in the cache before the clock starts.
        depth: usize,
    },
    /// Reads a prompt and answers it, in one figure: all tokens over all time.
    EndToEnd {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the answer.
        answer: usize,
    },
}

impl Case {
    /// The cases that are measured if nobody chooses.
    pub const STANDARD: [Self; 6] = [
        Self::Prefill { tokens: 128, depth: 0 },
        Self::Prefill { tokens: 512, depth: 0 },
        Self::Prefill { tokens: 2048, depth: 0 },
        Self::Decode { tokens: 128, depth: 0 },
        Self::Decode { tokens: 32, depth: 2048 },
        Self::Decode { tokens: 32, depth: 8192 },
    ];

    /// Tokens that are in the cache before the clock starts.
    pub fn depth(self) -> usize {
        match self {
            Self::Prefill { depth, .. } | Self::Decode { depth, .. } => depth,
            Self::EndToEnd { .. } => 0,
        }
    }

    /// Tokens of the prompt that is timed.
    pub fn prompt(self) -> usize {
        match self {
            Self::Prefill { tokens, .. } => tokens,
            Self::Decode { .. } => 0,
            Self::EndToEnd { prompt, .. } => prompt,
        }
    }

    /// Tokens that are written one by one while the clock runs.
    pub fn generated(self) -> usize {
        match self {
            Self::Prefill { .. } => 0,
            Self::Decode { tokens, .. } => tokens,
            Self::EndToEnd { answer, .. } => answer,
        }
    }

    /// Tokens that are timed.
    pub fn tokens(self) -> usize {
        self.prompt() + self.generated()
    }

    /// Tokens of context that the case takes.
    pub fn context(self) -> usize {
        self.depth() + self.tokens()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Prefill { tokens, .. } => write!(f, "pp{tokens}")?,
            Self::Decode { tokens, .. } => write!(f, "tg{tokens}")?,
            Self::EndToEnd { prompt, answer } => write!(f, "pp{prompt}+tg{answer}")?,
        }
        match self.depth() {
            0 => Ok(()),
            depth => write!(f, "@d{depth}"),
        }
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).filter(|case| fits(*case)).ok_or_else(|| {
            Error::Request(format!(
                "unknown case {text:?}: use ppN (a prompt of N tokens), tgN (N tokens are written), \
                 either with @dD (behind D tokens of context), or ppN+tgM; N and M from 1 to {MOST}"
            ))
        })
    }
}

/// More tokens than any device reads in a measurement.
const MOST: usize = 1 << 24;

fn parse(text: &str) -> Option<Case> {
    if let Some((prompt, answer)) = text.split_once('+') {
        let prompt = count(prompt.strip_prefix("pp")?)?;
        return Some(Case::EndToEnd { prompt, answer: count(answer.strip_prefix("tg")?)? });
    }
    let (kind, depth) = match text.split_once("@d") {
        Some((kind, depth)) => (kind, count(depth)?),
        None => (text, 0),
    };
    match kind.split_at_checked(2)? {
        ("pp", tokens) => Some(Case::Prefill { tokens: count(tokens)?, depth }),
        ("tg", tokens) => Some(Case::Decode { tokens: count(tokens)?, depth }),
        _ => None,
    }
}

/// Digits alone: Rust would read `+1` too.
fn count(digits: &str) -> Option<usize> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn fits(case: Case) -> bool {
    let parts = match case {
        Case::Prefill { tokens, .. } | Case::Decode { tokens, .. } => [tokens, tokens],
        Case::EndToEnd { prompt, answer } => [prompt, answer],
    };
    parts.iter().all(|part| (1..=MOST).contains(part)) && case.depth() <= MOST
}

impl From<Case> for String {
    fn from(case: Case) -> Self {
        case.to_string()
    }
}

impl TryFrom<String> for Case {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_llama_bench_s() {
        let case = |text: &str| text.parse::<Case>().unwrap();
        assert_eq!(case("pp512"), Case::Prefill { tokens: 512, depth: 0 });
        assert_eq!(case("tg32@d2048"), Case::Decode { tokens: 32, depth: 2048 });
        assert_eq!(case("pp8@d16").context(), 24);
        let whole = case("pp16+tg240");
        assert_eq!((whole.prompt(), whole.generated(), whole.tokens()), (16, 240, 256));
        for case in Case::STANDARD {
            assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
        }
    }

    #[test]
    fn what_is_no_case_is_refused() {
        for text in [
            "",
            "p",
            "pp",
            "pp0",
            "tg-1",
            "tg+1",
            "xx5",
            "tg5@d",
            "pp5@2",
            "pp5+tg",
            "pp5+tg0",
            "tg5+pp5",
            "pp99999999999999999999",
            "pp16777217",
            "ä5",
            "pp5+tg5@d5",
        ] {
            let error = text.parse::<Case>().unwrap_err().to_string();
            assert!(error.starts_with("unknown case"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(text in "(pp|tg)?[0-9+@d]{0,12}") {
            if let Ok(case) = text.parse::<Case>() {
                prop_assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
            }
        }
    }
}
