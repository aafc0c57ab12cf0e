use serde::{Deserialize, Serialize};

use edgeformer_core::Config;

/// How tokens are chosen. Names and defaults are llama.cpp's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingOptions {
    /// Divides the logits; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Keeps the k likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of tokens with this probability (nucleus sampling, arXiv 1904.09751).
    pub top_p: f32,
    /// Keeps tokens at least this share as likely as the likeliest (arXiv 2407.01082).
    pub min_p: f32,
    /// Keeps the most typical tokens up to this probability (arXiv 2202.00666).
    pub typical_p: f32,
    /// Penalties on tokens that occurred.
    pub penalties: Penalties,
    /// The penalty on repeating sequences.
    pub dry: Dry,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Where random numbers start.
    pub seed: u64,
}

/// Penalties on tokens that occurred recently.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Penalties {
    /// How many tokens are recent; 0 none, negative all.
    pub last_n: i64,
    /// Divides positive and multiplies negative logits (CTRL, arXiv 1909.05858); 1 is off.
    pub repeat: f32,
    /// Subtracted as often as the token occurred.
    pub frequency: f32,
    /// Subtracted once if the token occurred.
    pub presence: f32,
}

/// "Don't repeat yourself": a token that would lengthen a repetition of `n` tokens loses
/// `multiplier * base^(n - allowed_length)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dry {
    /// Strength; 0 is off.
    pub multiplier: f32,
    /// Growth with the length.
    pub base: f32,
    /// Repetitions up to this length cost nothing.
    pub allowed_length: usize,
    /// How far it looks back; 0 not at all, negative to the start.
    pub last_n: i64,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self::from(&Config::default())
    }
}

impl Default for Penalties {
    fn default() -> Self {
        SamplingOptions::default().penalties
    }
}

impl Default for Dry {
    fn default() -> Self {
        SamplingOptions::default().dry
    }
}

impl From<&Config> for SamplingOptions {
    fn from(config: &Config) -> Self {
        Self {
            temperature: config.temperature,
            top_k: config.top_k,
            top_p: config.top_p,
            min_p: config.min_p,
            typical_p: config.typical_p,
            penalties: Penalties {
                last_n: config.repeat_last_n,
                repeat: config.repeat_penalty,
                frequency: config.frequency_penalty,
                presence: config.presence_penalty,
            },
            dry: Dry {
                multiplier: config.dry_multiplier,
                base: config.dry_base,
                allowed_length: config.dry_allowed_length,
                last_n: config.dry_penalty_last_n,
            },
            logit_bias: Vec::new(),
            seed: config.seed.unwrap_or_else(super::random::fresh_seed),
        }
    }
}

/// The last tokens that an option looks back at: 0 none, negative all.
pub(super) fn recent(history: &[u32], last_n: i64) -> &[u32] {
    match usize::try_from(last_n) {
        Ok(count) => &history[history.len().saturating_sub(count)..],
        Err(_) => history,
    }
}
