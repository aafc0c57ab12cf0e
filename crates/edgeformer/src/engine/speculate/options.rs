use edgeformer_core::Config;
use edgeformer_core::config::{MAX_DRAFT, SpeculateSetting};

use crate::ModelSource;

/// Tokens guessed at a time at most, if nobody says; llama.cpp's number.
const DEFAULT_MAX: usize = 16;

/// Whether and how tokens are guessed. It changes how long an answer takes, never the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speculation {
    /// Where guesses come from.
    pub guesses: Guesses,
    /// Guesses at a time at most, up to 31.
    pub max: usize,
    /// Fewer guesses than this are not verified.
    pub min: usize,
    /// Whether their number is chosen by what they cost and how often they are right; else it is
    /// always the most.
    pub adaptive: bool,
}

/// Where guesses come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Guesses {
    /// Nothing is guessed.
    #[default]
    Nothing,
    /// What followed the last tokens where they occurred before in prompt and answer (prompt
    /// lookup decoding).
    Lookup,
    /// A small model with the same vocabulary.
    Draft(ModelSource),
}

impl From<&Config> for Speculation {
    fn from(config: &Config) -> Self {
        let guesses = match (&config.draft, config.speculate) {
            (Some(path), _) => Guesses::Draft(ModelSource::Path(path.clone())),
            (None, SpeculateSetting::Lookup) => Guesses::Lookup,
            (None, SpeculateSetting::Off) => Guesses::Nothing,
        };
        let default = Self::default();
        Self {
            guesses,
            max: config.draft_max.unwrap_or(default.max),
            min: config.draft_min.unwrap_or(default.min),
            ..default
        }
    }
}

impl Default for Speculation {
    fn default() -> Self {
        Self { guesses: Guesses::Nothing, max: DEFAULT_MAX, min: 1, adaptive: true }
    }
}

impl Speculation {
    /// Prompt lookup with the usual limits.
    pub fn lookup() -> Self {
        Self { guesses: Guesses::Lookup, ..Self::default() }
    }

    /// A draft model with the usual limits.
    pub fn draft(source: ModelSource) -> Self {
        Self { guesses: Guesses::Draft(source), ..Self::default() }
    }

    /// With limits within which verified tokens are computed as single ones are.
    pub(crate) fn within_limits(&self) -> Self {
        Self { max: self.max.min(MAX_DRAFT), min: self.min.max(1), ..self.clone() }
    }

    /// Rows of a step that a sequence may need the output of.
    pub(crate) fn rows(&self) -> usize {
        if self.guesses == Guesses::Nothing { 1 } else { 1 + self.max.min(MAX_DRAFT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_within_what_is_exact() {
        let wild = Speculation { max: 999, min: 0, ..Speculation::lookup() };
        let tame = wild.within_limits();
        assert_eq!((tame.max, tame.min), (MAX_DRAFT, 1));
        assert_eq!((wild.rows(), Speculation::default().rows()), (MAX_DRAFT + 1, 1));
    }
}
