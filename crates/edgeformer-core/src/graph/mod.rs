//! A transformer as data: what is computed, with which weights, never how.
//!
//! Families build graphs with [`GraphBuilder`], which infers and checks every shape; backends read
//! them. [`Graph::check`] checks one that came from elsewhere, [`Graph::to_text`] and
//! [`Graph::to_mermaid`] draw it.

mod build;
mod check;
mod infer;
mod low_rank;
mod mermaid;
mod op;
mod rope;
mod text;
mod value;

use serde::{Deserialize, Serialize};

use crate::AdapterScales;

pub use build::GraphBuilder;
pub use low_rank::{AdapterChoice, LowRankNames, LowRankTerm};
pub use op::{
    Activation, AdapterScale, Attention, CacheSlot, ExpertGroups, Experts, LatentAttention,
    LatentUp, Mask, Norm, NormKind, Op, Pool, Scoring, Unfold,
};
pub use rope::{Rope, RopeLayout, RopeScaling, yarn_mscale};
pub use value::{RowKind, Value, ValueInfo, WeightId, WeightInfo};

/// A transformer as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The model family, for example `llama`.
    pub name: String,
    /// What a span must feed.
    pub input: GraphInput,
    /// The ops, in topological order.
    pub nodes: Vec<Node>,
    /// Shape of every value.
    pub values: Vec<ValueInfo>,
    /// Name and shape of every weight.
    pub weights: Vec<WeightInfo>,
    /// What comes out.
    pub output: GraphOutput,
    /// What is cached.
    pub cache: CachePlan,
}

/// What goes into a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphInput {
    /// Token ids below `vocabulary`; the first op is [`Op::Embed`].
    Tokens {
        /// Number of tokens.
        vocabulary: usize,
        /// Positions that the model was trained on (`max_position_embeddings`).
        context: usize,
    },
    /// An image `[channels, height, width]`; the first op is [`Op::Unfold`].
    Pixels {
        /// Channels.
        channels: usize,
        /// Height and width.
        size: [usize; 2],
    },
    /// A signal `[channels, samples]`; the first op is [`Op::Unfold`].
    Signal {
        /// Channels.
        channels: usize,
        /// Samples of a channel.
        samples: usize,
    },
}

/// What comes out of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphOutput {
    /// What its rows mean.
    pub kind: OutputKind,
    /// The value.
    pub value: Value,
}

/// What the output rows of a graph mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// A score for each token that could come next.
    Logits,
    /// Hidden states of an encoder.
    HiddenStates,
    /// A score for each class.
    ClassScores,
}

impl OutputKind {
    /// The tensor name that Hugging Face gives such an output.
    pub fn tensor_name(self) -> &'static str {
        match self {
            Self::Logits | Self::ClassScores => "logits",
            Self::HiddenStates => "last_hidden_state",
        }
    }
}

/// An op with its place in the data flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it reads. [`Op::Embed`] and [`Op::Unfold`] read the graph's input and list nothing.
    pub inputs: Vec<Value>,
    /// What it makes.
    pub outputs: Vec<Value>,
}

/// What a graph caches of every token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CachePlan {
    /// One a caching attention op, indexed by [`CacheSlot`].
    pub slots: Vec<SlotPlan>,
}

/// What one attention op caches of every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotPlan {
    /// Keys and values.
    KeyValue {
        /// Key-value heads.
        heads: usize,
        /// Width of a key head.
        key_dim: usize,
        /// Width of a value head.
        value_dim: usize,
        /// Only the last so many tokens are ever read.
        window: Option<usize>,
    },
    /// A latent and a rotated key.
    Latent {
        /// Width of the latent.
        rank: usize,
        /// Width of the rotated key.
        rope_dim: usize,
    },
}

impl SlotPlan {
    /// Elements cached of a token: of the key side (latents included) and of the value side.
    pub fn elements(&self) -> (usize, usize) {
        match *self {
            Self::KeyValue { heads, key_dim, value_dim, .. } => {
                (heads * key_dim, heads * value_dim)
            }
            Self::Latent { rank, rope_dim } => (rank + rope_dim, 0),
        }
    }

    /// The sliding window, if there is one.
    pub fn window(&self) -> Option<usize> {
        match *self {
            Self::KeyValue { window, .. } => window,
            Self::Latent { .. } => None,
        }
    }
}

impl Graph {
    /// Name and shape of a weight.
    pub fn weight(&self, id: WeightId) -> &WeightInfo {
        &self.weights[id.index()]
    }

    /// The weight of that name.
    pub fn weight_id(&self, name: &str) -> Option<WeightId> {
        let found = self.weights.iter().position(|info| info.name == name)?;
        Some(WeightId(found as u32))
    }

    /// Columns of a value.
    pub fn width(&self, value: Value) -> usize {
        self.values[value.index()].width
    }

    /// What a row of the output belongs to.
    pub fn output_rows(&self) -> RowKind {
        self.values[self.output.value.index()].rows
    }

    /// Columns of the output.
    pub fn output_width(&self) -> usize {
        self.width(self.output.value)
    }

    /// Whether sequences grow token by token: the graph is causal and has a cache.
    pub fn is_causal(&self) -> bool {
        !self.cache.slots.is_empty()
    }

    /// Whether there is latent attention.
    pub fn has_latents(&self) -> bool {
        self.cache.slots.iter().any(|slot| matches!(slot, SlotPlan::Latent { .. }))
    }

    /// Whether the graph generates text.
    pub fn is_decoder(&self) -> bool {
        self.output.kind == OutputKind::Logits
    }

    /// How many adapters it has whose scales are a matter of each sequence.
    pub fn adapters(&self) -> usize {
        let behind = self.nodes.iter().filter_map(|node| match &node.op {
            Op::AdapterScale(scale) => Some(scale.adapter + 1),
            _ => None,
        });
        behind.max().unwrap_or(0)
    }

    /// The scale of each of [`adapters`](Self::adapters) in a sequence that has these; that of one
    /// that no node reads is 1.
    pub fn adapter_scales(&self, scales: &AdapterScales) -> Vec<f32> {
        let mut all = vec![1.0; self.adapters()];
        for node in &self.nodes {
            if let Op::AdapterScale(AdapterScale { adapter, usual, .. }) = node.op {
                all[adapter] = scales.of(adapter).unwrap_or(usual);
            }
        }
        all
    }

    /// Tokens that the vocabulary has, zero if the input is no text.
    pub fn vocabulary(&self) -> usize {
        match self.input {
            GraphInput::Tokens { vocabulary, .. } => vocabulary,
            GraphInput::Pixels { .. } | GraphInput::Signal { .. } => 0,
        }
    }

    /// Positions that the model was trained on; `None` if the input is no text.
    pub fn trained_context(&self) -> Option<usize> {
        match self.input {
            GraphInput::Tokens { context, .. } => Some(context),
            GraphInput::Pixels { .. } | GraphInput::Signal { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
