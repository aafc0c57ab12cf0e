//! Which matrices read which norm or product: where a scale can move without a trace.
//!
//! If every reader of a channel multiplies it with `s`, whatever makes the channel may be divided
//! by `s`. That holds where nobody else reads the channel and everything between is linear in it.
//!
//! | made by | read by |
//! |---|---|
//! | `attn_norm` | `attn_q`, `attn_k`, `attn_v`, or `attn_qkv`; `attn_q_a`, `attn_kv_a_mqa` |
//! | `ffn_norm` | `ffn_gate`, `ffn_up`; the router, every expert and the shared ones |
//! | `attn_q_a_norm`, `attn_kv_a_norm` | `attn_q_b`; `attn_kv_b` |
//! | `output_norm` | `output`, unless the head is the embedding table |
//! | rows of values in `attn_v`, `attn_qkv`, `attn_kv_b`, `attn_v_b` | `attn_output` |
//! | `ffn_up` of a gated network | `ffn_down`; experts each for themselves |
//!
//! Left out are norms that the residual stream reads too (BERT's, Gemma's behind a half), norms
//! before a pooling, the norm before a tied head, latents whose keys are stored transposed
//! (`attn_k_b`), and feed-forward networks with a function between the matrices (GPT-2, BERT, ViT).

mod known;
mod pairs;
mod shape;

use edgeformer_models::checkpoint::Checkpoint;

use crate::Result;

pub(super) use known::{Kind, kind};

/// A run of channels that a scale can be moved through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foldable {
    /// What makes the channels.
    pub source: Source,
    /// Every matrix that reads them.
    pub readers: Vec<Reader>,
    /// How many there are.
    pub channels: usize,
}

/// What makes channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A norm.
    Norm {
        /// Its weight.
        weight: String,
        /// Its bias, if it has one.
        bias: Option<String>,
        /// Whether it reads the residual stream, and not a latent.
        residual: bool,
    },
    /// Rows of the matrix before.
    Rows(Rows),
}

/// Rows of a matrix, or of a stack of them one below the other: channel `c` is made by row
/// `c / run * stride + first + c % run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The matrix.
    pub weight: String,
    /// Its bias, if it has one.
    pub bias: Option<String>,
    /// Rows before the first of a run.
    pub first: usize,
    /// Rows of a run.
    pub run: usize,
    /// From one run to the next.
    pub stride: usize,
}

/// A matrix that reads channels: column `c` reads channel `c / (head * group) * head + c % head`.
/// Without heads, `head` is all columns and `group` 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The matrix.
    pub weight: String,
    /// Columns of a head.
    pub head: usize,
    /// Query heads that read the same value head.
    pub group: usize,
    /// Whether every matrix of the stack has channels of its own.
    pub per_matrix: bool,
}

/// Every run of channels of a model that a scale can be moved through, in the order of layers.
///
/// # Errors
/// If the architecture or a tensor is unknown, or shapes do not fit the metadata.
pub fn foldables(checkpoint: &Checkpoint) -> Result<Vec<Foldable>> {
    let kind = kind(checkpoint)?;
    known::check(checkpoint)?;
    let mut found = Vec::new();
    for prefix in known::layers(checkpoint) {
        found.extend(pairs::norms(checkpoint, &prefix)?);
        found.extend(pairs::values(checkpoint, &prefix)?);
        found.extend(pairs::products(checkpoint, &prefix, kind)?);
    }
    found.extend(pairs::head(checkpoint)?);
    Ok(found)
}

impl Foldable {
    /// The tensor that makes the channels.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Norm { weight, .. } => weight,
            Source::Rows(rows) => &rows.weight,
        }
    }
}

impl Rows {
    /// The row that makes a channel.
    pub fn row(&self, channel: usize) -> usize {
        channel / self.run * self.stride + self.first + channel % self.run
    }
}

impl Reader {
    /// A reader without heads.
    pub(crate) fn plain(weight: String, columns: usize) -> Self {
        Self { weight, head: columns, group: 1, per_matrix: false }
    }

    /// The channel that a column of a matrix of `columns` reads.
    pub fn channel(&self, matrix: usize, columns: usize, column: usize) -> usize {
        let before = if self.per_matrix { matrix * columns / self.group } else { 0 };
        before + column / (self.head * self.group) * self.head + column % self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_heads_of_a_group_share_channels() {
        let reader = Reader { weight: "o".into(), head: 2, group: 2, per_matrix: false };
        let channels: Vec<_> = (0..8).map(|column| reader.channel(0, 8, column)).collect();
        assert_eq!(channels, [0, 1, 0, 1, 2, 3, 2, 3]);
    }

    #[test]
    fn experts_have_channels_of_their_own() {
        let reader = Reader { per_matrix: true, ..Reader::plain("down".into(), 3) };
        assert_eq!([0, 1, 2].map(|column| reader.channel(2, 3, column)), [6, 7, 8]);
    }

    #[test]
    fn values_lie_behind_the_keys_of_their_head() {
        let rows = Rows { weight: "kv".into(), bias: None, first: 3, run: 2, stride: 5 };
        assert_eq!([0, 1, 2, 3].map(|channel| rows.row(channel)), [3, 4, 8, 9]);
    }
}
