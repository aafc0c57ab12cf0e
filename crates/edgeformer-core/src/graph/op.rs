use serde::{Deserialize, Serialize};

use super::rope::Rope;
use super::value::WeightId;
use crate::AdapterScales;

/// The vocabulary of transformers. An op says what is computed and never how.
///
/// A value is a matrix of f32 rows: one row a token of the step, or one row a sequence after
/// [`Op::Pool`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Token ids → `[T, d]`: rows of `table` (`[vocabulary, d]`), times `scale`.
    Embed {
        /// The table.
        table: WeightId,
        /// What every embedding is multiplied with (Gemma: the root of the width).
        scale: f32,
    },
    /// Adds row `position + offset` of `table` (`[positions, d]`): learned absolute positions.
    Position {
        /// The table.
        table: WeightId,
        /// Rows skipped at the start of the table (RoBERTa: 2).
        offset: usize,
    },
    /// Adds row `index` of `table` to every row: segment 0 of BERT.
    AddRow {
        /// The table, `[rows, d]`.
        table: WeightId,
        /// Which row.
        index: usize,
    },
    /// Pixels or a signal → `[patches, channels * kernel]`: the windows of a convolution.
    Unfold(Unfold),
    /// Puts the rows of a weight (`[n, d]`) before the rows of each sequence: class tokens.
    Prepend {
        /// The rows.
        rows: WeightId,
    },
    /// `x Wᵀ + b` with `W` `[out, in]`.
    Linear {
        /// `W`, in any format.
        weight: WeightId,
        /// `b`, `[out]`.
        bias: Option<WeightId>,
    },
    /// Cuts each of `groups` equal parts of the columns into pieces of these widths. Output `i`
    /// holds piece `i` of every group, side by side: `[T, groups * widths[i]]`.
    Split {
        /// Equal parts that are cut alike: 1, or the heads whose halves are parted (MLA queries).
        groups: usize,
        /// Widths that add up to a group's.
        widths: Vec<usize>,
    },
    /// Puts the columns of several values side by side.
    Concat,
    /// Normalises rows, or groups of columns of a row.
    Norm(Norm),
    /// Rotary position embedding.
    Rope(Rope),
    /// `q, k, v → [T, heads * value_dim]`.
    Attention(Attention),
    /// `q_nope, q_rope, latent, k_rope → [T, heads * value_dim]`: attention over cached latents
    /// (MLA, DeepSeek-V2, arXiv 2405.04434, section 2.1).
    LatentAttention(LatentAttention),
    /// An elementwise function.
    Activation(Activation),
    /// The elementwise product of two values.
    Multiply,
    /// The elementwise sum of two values.
    Add,
    /// Times a constant.
    Scale {
        /// The constant.
        factor: f32,
    },
    /// Times how strongly an adapter acts on the sequence that a row belongs to.
    AdapterScale(AdapterScale),
    /// `cap * tanh(x / cap)`.
    SoftCap {
        /// The bound.
        cap: f32,
    },
    /// A mixture of experts: each row goes through the experts its router picks.
    Experts(Experts),
    /// `[T, d]` → `[sequences, d]`.
    Pool(Pool),
}

/// The windows of a convolution: output row `p` holds `channels * kernel[0] * kernel[1]` inputs,
/// channel by channel, row by row, as a flattened convolution weight expects them. A signal is an
/// image of height 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfold {
    /// Input channels.
    pub channels: usize,
    /// Input height and width.
    pub size: [usize; 2],
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
}

impl Unfold {
    /// Windows down and across, or `None` if not one fits.
    pub fn patches(&self) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let span = self.padding[axis].checked_mul(2)?.checked_add(self.size[axis])?;
            Some(span.checked_sub(self.kernel[axis])?.checked_div(self.stride[axis])? + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Values of an input.
    pub fn input_len(&self) -> usize {
        self.channels * self.size[0] * self.size[1]
    }

    /// Values of a window.
    pub fn patch_len(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }
}

/// Normalises a row, or each of `groups` equal parts of it, to unit scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Norm {
    /// By root mean square, or by mean and variance.
    pub kind: NormKind,
    /// Equal parts that are normalised on their own: 1, or the heads for query and key norms.
    pub groups: usize,
    /// `[width / groups]`, multiplied in.
    pub weight: Option<WeightId>,
    /// `[width / groups]`, added.
    pub bias: Option<WeightId>,
    /// Keeps the root away from zero.
    pub eps: f32,
    /// Added to every element of `weight` (Gemma stores `w - 1`).
    pub weight_offset: f32,
}

/// What a [`Norm`] divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Root mean square.
    Rms,
    /// Standard deviation, after the mean is taken away.
    Layer,
}

/// Which positions a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Its own and earlier ones.
    Causal,
    /// All of its sequence; the sequence must be in one span, nothing is cached.
    Bidirectional,
}

/// Grouped-query attention. Query head `h` reads key-value head `h * kv_heads / heads`: MHA has
/// as many of the latter as of the former, MQA has one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a query and key head.
    pub key_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// What scores are multiplied with before the softmax.
    pub scale: f32,
    /// Which positions a query sees.
    pub mask: Mask,
    /// It sees exactly this many, its own included (Hugging Face's convention).
    pub window: Option<usize>,
    /// Scores become `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// Where keys and values are cached; `None` for bidirectional attention.
    pub slot: Option<CacheSlot>,
}

/// Multi-head latent attention. Cached are the normalised latent and the rotated shared key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatentAttention {
    /// Query heads.
    pub heads: usize,
    /// Width of the latent (`kv_lora_rank`).
    pub rank: usize,
    /// Width of the part of a head without position (`qk_nope_head_dim`).
    pub nope_dim: usize,
    /// Width of the rotated part, shared by the keys of all heads (`qk_rope_head_dim`).
    pub rope_dim: usize,
    /// Width of a value head (`v_head_dim`).
    pub value_dim: usize,
    /// What scores are multiplied with before the softmax.
    pub scale: f32,
    /// Where keys and values come from.
    pub up: LatentUp,
    /// Where latents and rotated keys are cached.
    pub slot: CacheSlot,
}

/// The up-projections from latents to keys and values, as files hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentUp {
    /// One matrix `[heads * (nope_dim + value_dim), rank]`, a head's keys before its values.
    Fused {
        /// `kv_b_proj`.
        weight: WeightId,
    },
    /// Two stacks of matrices.
    Split {
        /// `[heads, rank, nope_dim]`: transposed, ready to be absorbed into the query.
        key: WeightId,
        /// `[heads, value_dim, rank]`.
        value: WeightId,
    },
}

/// A place in the cache, an index into [`CachePlan::slots`](super::CachePlan).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CacheSlot(pub u32);

/// Between the two matrices of a low-rank adapter whose scale is a matter of each sequence
/// ([`KvCache::set_adapters`](crate::KvCache::set_adapters)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdapterScale {
    /// Which of the graph's adapters.
    pub adapter: usize,
    /// What its rows are multiplied with besides: `alpha / rank` as a rule.
    pub factor: f32,
    /// Its scale in sequences of which nothing else was said.
    pub usual: f32,
}

impl AdapterScale {
    /// What the rows of a sequence with these scales are multiplied with.
    pub fn of(&self, scales: &AdapterScales) -> f32 {
        self.factor * scales.of(self.adapter).unwrap_or(self.usual)
    }
}

/// An elementwise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * Φ(x)`, by the error function.
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

/// A mixture of experts. Every expert is `down(activation(gate x) * (up x))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many a row goes through.
    pub top_k: usize,
    /// Inner width of an expert.
    pub width: usize,
    /// `[count, d]`: a score for each expert.
    pub router: WeightId,
    /// What scores become before the best are picked.
    pub scoring: Scoring,
    /// `[count]`, added to the scores for picking only, not for weighing (DeepSeek-V3).
    pub selection_bias: Option<WeightId>,
    /// Picks groups of experts first.
    pub groups: Option<ExpertGroups>,
    /// Whether the weights of the picked are made to add up to one.
    pub normalise: bool,
    /// What the weights are multiplied with.
    pub scale: f32,
    /// `[count, width, d]`.
    pub gate: WeightId,
    /// `[count, width, d]`.
    pub up: WeightId,
    /// `[count, d, width]`.
    pub down: WeightId,
    /// The experts' function.
    pub activation: Activation,
}

/// What router scores become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// A distribution over all experts.
    Softmax,
    /// Each on its own.
    Sigmoid,
}

/// Group-limited routing: experts outside the best groups are not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertGroups {
    /// Equal groups of neighbouring experts.
    pub count: usize,
    /// Groups kept.
    pub top: usize,
    /// How many of a group's best scores are added up to its score: 1 is their maximum
    /// (DeepSeek-V2), 2 is DeepSeek-V3's rule.
    pub scored_by: usize,
}

/// How the rows of a sequence become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their mean.
    Mean,
    /// The first: the class token.
    Class,
    /// The last.
    Last,
    /// The largest element of each column.
    Max,
}

impl Op {
    /// The weights that it reads.
    pub fn weights(&self) -> Vec<WeightId> {
        match self {
            Self::Embed { table, .. }
            | Self::Position { table, .. }
            | Self::AddRow { table, .. } => vec![*table],
            Self::Prepend { rows } => vec![*rows],
            Self::Linear { weight, bias } => [*weight].into_iter().chain(*bias).collect(),
            Self::Norm(norm) => norm.weight.into_iter().chain(norm.bias).collect(),
            Self::LatentAttention(attention) => match attention.up {
                LatentUp::Fused { weight } => vec![weight],
                LatentUp::Split { key, value } => vec![key, value],
            },
            Self::Experts(experts) => {
                let matrices = [experts.gate, experts.up, experts.down];
                [experts.router].into_iter().chain(experts.selection_bias).chain(matrices).collect()
            }
            Self::Unfold(_)
            | Self::Split { .. }
            | Self::Concat
            | Self::Rope(_)
            | Self::Attention(_)
            | Self::Activation(_)
            | Self::Multiply
            | Self::Add
            | Self::Scale { .. }
            | Self::AdapterScale(_)
            | Self::SoftCap { .. }
            | Self::Pool(_) => Vec::new(),
        }
    }

    /// The op's name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embed { .. } => "embed",
            Self::Position { .. } => "position",
            Self::AddRow { .. } => "add_row",
            Self::Unfold(_) => "unfold",
            Self::Prepend { .. } => "prepend",
            Self::Linear { .. } => "linear",
            Self::Split { .. } => "split",
            Self::Concat => "concat",
            Self::Norm(_) => "norm",
            Self::Rope(_) => "rope",
            Self::Attention(_) => "attention",
            Self::LatentAttention(_) => "latent_attention",
            Self::Activation(_) => "activation",
            Self::Multiply => "multiply",
            Self::Add => "add",
            Self::Scale { .. } => "scale",
            Self::AdapterScale(_) => "adapter_scale",
            Self::SoftCap { .. } => "soft_cap",
            Self::Experts(_) => "experts",
            Self::Pool(_) => "pool",
        }
    }

    /// Whether an output row depends on more than one input row. Behind the last such op a
    /// backend may compute the wanted rows alone.
    pub fn mixes_rows(&self) -> bool {
        matches!(
            self,
            Self::Attention(_)
                | Self::LatentAttention(_)
                | Self::Pool(_)
                | Self::Prepend { .. }
                | Self::Unfold(_)
        )
    }
}
