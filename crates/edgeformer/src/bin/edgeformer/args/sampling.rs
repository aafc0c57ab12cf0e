use clap::Args;
use serde::Serialize;

use super::values::{is_false, logit_bias};

/// How tokens are chosen.
#[derive(Debug, Default, Args, Serialize)]
pub struct SamplingArgs {
    /// Divides the logits; 0 is greedy [default: 0.8]
    #[arg(long, visible_alias = "temp", value_name = "T")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: 40]
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Keep the likeliest tokens up to this probability [default: 0.95]
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Keep tokens at least this share as likely as the likeliest [default: 0.05]
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Keep the most typical tokens up to this probability [default: 1]
    #[arg(long, visible_alias = "typical", value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typical_p: Option<f32>,
    /// Divide the logits of recent tokens [default: 1]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f32>,
    /// How many tokens are recent; -1 is all [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_last_n: Option<i64>,
    /// Subtract from the logits of recent tokens [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Subtract from the logits of recent tokens, as often as they came [default: 0]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Penalise repeated sequences (DRY); 0 is off [default: 0]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_multiplier: Option<f32>,
    /// Growth of the DRY penalty with the length [default: 1.75]
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_base: Option<f32>,
    /// Repetitions up to this length cost nothing [default: 2]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_allowed_length: Option<usize>,
    /// How far DRY looks back; -1 is to the start [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_penalty_last_n: Option<i64>,
    /// Where random numbers start [default: drawn]
    #[arg(short, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Change the logit of a token: TOKEN+BIAS or TOKEN-BIAS (`inf` bans or forces); repeatable
    #[arg(long, value_name = "TOKEN±BIAS", value_parser = logit_bias)]
    #[serde(skip)]
    pub logit_bias: Vec<(u32, f32)>,
    /// End the answer at this text; repeatable
    #[arg(long, visible_alias = "reverse-prompt", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Tokens of an answer at most [default: until the context is full]
    #[arg(short = 'n', long, visible_alias = "n-predict", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// Go on behind the end of the text
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_eos: bool,
}
