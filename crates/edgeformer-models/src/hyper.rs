//! Hyper-parameters, the same whatever file they come from.
//!
//! What differs between sources is settled here (the layout of rotary pairs, the offset of Gemma's
//! norm weights, where scalings of long contexts come from), so that a family is one function from
//! these structs to a graph. `hf_config` and `gguf_model` fill them and check every number.

use edgeformer_core::graph::{
    Activation, ExpertGroups, GraphInput, Rope, RopeLayout, RopeScaling, Scoring,
};

/// Most layers that a model may have: beyond every real one, and graphs stay small.
pub const MAX_LAYERS: usize = 512;

/// What a model's files say about its shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Hyper {
    /// A causal language model.
    Decoder(Box<Decoder>),
    /// A text encoder.
    Encoder(Encoder),
    /// An image encoder or classifier.
    Vision(Vision),
}

impl Hyper {
    /// The model's family.
    pub fn family(&self) -> Family {
        match self {
            Self::Decoder(decoder) => decoder.family,
            Self::Encoder(_) => Family::Bert,
            Self::Vision(_) => Family::Vit,
        }
    }

    /// Its layers.
    pub fn layers(&self) -> usize {
        match self {
            Self::Decoder(decoder) => decoder.layers,
            Self::Encoder(encoder) => encoder.layers,
            Self::Vision(vision) => vision.layers,
        }
    }

    /// Classes of its classifier; `None` without one. A single one is a value (regression).
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::Decoder(decoder) => decoder.classes,
            Self::Encoder(encoder) => encoder.classes,
            Self::Vision(vision) => vision.classes,
        }
    }
}

/// A family of models: one arrangement of ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the families' own")]
pub enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Qwen3Moe,
    Gemma2,
    Gemma3,
    Phi3,
    Gpt2,
    DeepseekV2,
    DeepseekV3,
    Bert,
    Vit,
}

impl Family {
    /// Its name, as graphs carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3-moe",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
            Self::Gpt2 => "gpt2",
            Self::DeepseekV2 => "deepseek-v2",
            Self::DeepseekV3 => "deepseek-v3",
            Self::Bert => "bert",
            Self::Vit => "vit",
        }
    }
}

/// A causal language model, or a classifier that is one but for its head.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// Its family.
    pub family: Family,
    /// Tokens it knows.
    pub vocabulary: usize,
    /// Positions it was trained on.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention, unless `latent` says otherwise.
    pub attention: Heads,
    /// Sliding window of each layer.
    pub windows: Vec<Option<usize>>,
    /// Rotary embedding; `None` where positions are learned.
    pub rotary: Option<Rotary>,
    /// Another one for layers with a window (Gemma 3).
    pub local_rotary: Option<Rotary>,
    /// The feed-forward of layers without experts.
    pub feed: Feed,
    /// Keeps the root of norms away from zero.
    pub norm_eps: f32,
    /// Added to norm weights: 1 where a file holds Gemma's as `w - 1`.
    pub norm_offset: f32,
    /// What embeddings are multiplied with.
    pub embedding_scale: f32,
    /// Whether logits come from the embedding table; not in classifiers, which have none.
    pub tied: bool,
    /// Logits become `cap * tanh(logit / cap)`.
    pub logit_cap: Option<f32>,
    /// Mixtures of experts.
    pub experts: Option<Mixture>,
    /// Multi-head latent attention.
    pub latent: Option<Latent>,
    /// Classes of the classifier that stands in the place of logits; `None` without one.
    pub classes: Option<usize>,
}

impl Decoder {
    /// What goes into its graph.
    pub fn input(&self) -> GraphInput {
        GraphInput::Tokens { vocabulary: self.vocabulary, context: self.context }
    }

    /// The experts of a layer, if it has any.
    pub fn experts_of(&self, layer: usize) -> Option<&Mixture> {
        self.experts.as_ref().filter(|mixture| mixture.layers[layer])
    }

    /// The rotary embedding of a layer.
    pub fn rotary_of(&self, layer: usize) -> Option<&Rotary> {
        match self.windows[layer] {
            Some(_) => self.local_rotary.as_ref().or(self.rotary.as_ref()),
            None => self.rotary.as_ref(),
        }
    }
}

/// Grouped-query attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Width of a query and key head.
    pub key_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// What scores are multiplied with.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// Whether the projections of queries, keys and values have biases.
    pub input_bias: bool,
    /// Whether the output projection has one.
    pub output_bias: bool,
}

/// Rotary position embedding of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Columns of a head that are rotated.
    pub dims: usize,
    /// Which columns form a pair in this source.
    pub layout: RopeLayout,
    /// Base of the frequencies.
    pub base: f32,
    /// Their change for long contexts.
    pub scaling: RopeScaling,
}

impl Rotary {
    /// The op for rows of `heads` heads.
    pub fn of(&self, heads: usize) -> Rope {
        let Self { dims, layout, base, ref scaling } = *self;
        Rope { heads, dims, layout, base, scaling: scaling.clone() }
    }
}

/// A feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feed {
    /// Inner width.
    pub width: usize,
    /// Its function.
    pub activation: Activation,
    /// Whether its projections have biases.
    pub bias: bool,
}

/// Routed experts, and shared ones beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Which layers have them.
    pub layers: Vec<bool>,
    /// Experts of a layer.
    pub count: usize,
    /// Experts that a row goes through.
    pub top_k: usize,
    /// Inner width of an expert.
    pub width: usize,
    /// Inner width of all shared experts together; `None` without them.
    pub shared_width: Option<usize>,
    /// What router scores become.
    pub scoring: Scoring,
    /// Whether a bias is added to the scores for picking.
    pub selection_bias: bool,
    /// Groups that are picked first.
    pub groups: Option<ExpertGroups>,
    /// Whether weights are made to add up to one.
    pub normalise: bool,
    /// What weights are multiplied with.
    pub scale: f32,
}

/// Multi-head latent attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latent {
    /// Width of the query's latent; `None` for a direct projection.
    pub query_rank: Option<usize>,
    /// Whether a direct projection has a bias.
    pub query_bias: bool,
    /// Width of the latent of keys and values.
    pub rank: usize,
    /// Width of the part of a head without position.
    pub nope_dim: usize,
    /// Width of the rotated part.
    pub rope_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// Whether the latent of keys and values is normalised: not in models that were converted
    /// from ordinary attention exactly.
    pub normed: bool,
    /// Epsilon of the norms of latents.
    pub norm_eps: f32,
    /// Whether the file holds the up-projection as `attn_k_b` and `attn_v_b`.
    pub split: bool,
}

/// A text encoder (BERT).
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    /// Tokens it knows.
    pub vocabulary: usize,
    /// Positions it knows.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Feed-forward.
    pub feed: Feed,
    /// Rows of the table of segments.
    pub segments: usize,
    /// Keeps the root of norms away from zero.
    pub norm_eps: f32,
    /// Classes of the classifier, which is behind a pooler; `None` without both.
    pub classes: Option<usize>,
}

/// An image encoder (ViT).
#[derive(Debug, Clone, PartialEq)]
pub struct Vision {
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image.
    pub image: [usize; 2],
    /// Height and width of a patch.
    pub patch: [usize; 2],
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Feed-forward.
    pub feed: Feed,
    /// Whether the projections of queries, keys and values have biases.
    pub input_bias: bool,
    /// Keeps the root of norms away from zero.
    pub norm_eps: f32,
    /// Classes of the classifier; `None` without one.
    pub classes: Option<usize>,
}
