use std::path::PathBuf;

use clap::Args;
use edgeformer::config::SpeculateSetting;
use serde::Serialize;

use super::values::speculate;

/// Guessing tokens, to verify several in one step.
#[derive(Debug, Default, Args, Serialize)]
pub struct SpeculationArgs {
    /// Guess tokens from the text so far: off or lookup; changes no token, only the time
    /// [default: off]
    #[arg(long, value_name = "HOW", value_parser = speculate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculate: Option<SpeculateSetting>,
    /// A small model with the same vocabulary that guesses tokens; changes no token, only the time
    #[arg(long, visible_alias = "model-draft", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<PathBuf>,
    /// Tokens guessed at a time at most; fewer where that is faster [default: 16]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_max: Option<usize>,
    /// Guess so many tokens or none [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_min: Option<usize>,
}
