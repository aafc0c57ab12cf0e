use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::text_or_integer;
use crate::{Error, Result};

/// How far back queries see, as it is written: `256`, `64:512`, `windows.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowSetting {
    /// So many tokens in every layer, the query's own included.
    Tokens(usize),
    /// Between two bounds, layer by layer, as attention asks for.
    Adaptive {
        /// Tokens at least.
        least: usize,
        /// Tokens at most.
        most: usize,
    },
    /// By layer and head, from a file that `edgeformer tune-window` wrote.
    File(PathBuf),
}

/// Tokens that a window may have.
const LONGEST: usize = 1 << 24;

impl FromStr for WindowSetting {
    type Err = Error;

    /// What is made of digits and a colon is a number or two; everything else names a file.
    fn from_str(text: &str) -> Result<Self> {
        let is_number = text.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '-'));
        if text.is_empty() || !is_number {
            return match text {
                "" => Err(wrong(text)),
                file => Ok(Self::File(file.into())),
            };
        }
        match text.split_once(':') {
            None => Ok(Self::Tokens(tokens(text).ok_or_else(|| wrong(text))?)),
            Some((least, most)) => match (tokens(least), tokens(most)) {
                (Some(least), Some(most)) if least <= most => Ok(Self::Adaptive { least, most }),
                _ => Err(wrong(text)),
            },
        }
    }
}

fn tokens(text: &str) -> Option<usize> {
    text.parse().ok().filter(|tokens| (1..=LONGEST).contains(tokens))
}

fn wrong(text: &str) -> Error {
    Error::Config(format!(
        "{text:?} is no window: write a number of tokens (256), the least and the most (64:512), or a file of edgeformer tune-window; tokens are 1 to {LONGEST}"
    ))
}

impl fmt::Display for WindowSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => tokens.fmt(f),
            Self::Adaptive { least, most } => write!(f, "{least}:{most}"),
            Self::File(file) => file.display().fmt(f),
        }
    }
}

impl Serialize for WindowSetting {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::File(file) => file.serialize(to),
            number => to.collect_str(number),
        }
    }
}

impl<'de> Deserialize<'de> for WindowSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        text_or_integer(from, "a window: N, MIN:MAX or a file")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(text: &str) -> WindowSetting {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_bounds_and_files_are_told_apart() {
        assert_eq!(window("256"), WindowSetting::Tokens(256));
        assert_eq!(window("64:512"), WindowSetting::Adaptive { least: 64, most: 512 });
        assert_eq!(window("tuned/w.json"), WindowSetting::File("tuned/w.json".into()));
        assert_eq!(window("7b.json"), WindowSetting::File("7b.json".into()));
    }

    #[test]
    fn windows_without_a_token_or_upside_down_are_refused() {
        for text in
            ["", "0", "-5", "512:64", "0:4", ":", "4:", ":4", "1:2:3", "99999999999999999999"]
        {
            let error = text.parse::<WindowSetting>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?} is no window")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(least in 1usize..LONGEST, more in 0usize..LONGEST, fixed: bool) {
            let most = (least + more).min(LONGEST);
            let window = if fixed { WindowSetting::Tokens(least) } else { WindowSetting::Adaptive { least, most } };
            prop_assert_eq!(window.to_string().parse::<WindowSetting>().unwrap(), window);
        }
    }
}
