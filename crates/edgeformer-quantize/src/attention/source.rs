//! The attention of the model that is converted: its shape, its weights as matrices.

use edgeformer_core::graph::{Rope, RopeLayout, RopeScaling, yarn_mscale};
use edgeformer_models::checkpoint::Checkpoint;

use super::AttentionCalibration;
use super::linear::Matrix;
use crate::{Error, Result};

/// Architectures whose attention is made of `attn_q`, `attn_k`, `attn_v` and `attn_output`, and
/// which columns of a head their files rotate together.
const KNOWN: [(&str, RopeLayout); 6] = [
    ("llama", RopeLayout::Interleaved),
    ("qwen2", RopeLayout::Halves),
    ("qwen3", RopeLayout::Halves),
    ("qwen3moe", RopeLayout::Halves),
    ("gemma2", RopeLayout::Halves),
    ("gemma3", RopeLayout::Halves),
];

/// A model with ordinary attention.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub checkpoint: Checkpoint,
    pub architecture: String,
    pub layers: usize,
    pub width: usize,
    pub context: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub key_dim: usize,
    pub value_dim: usize,
    /// Columns of a head that are rotated together.
    pub pairs: Vec<[usize; 2]>,
    /// Columns of a head that are not rotated.
    pub rest: Vec<usize>,
}

/// The projections of a layer. Queries, keys and values carry their bias as a last column (zeros
/// where they have none), which the calibration multiplies with one.
pub(super) struct Projections {
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub o: Matrix,
}

impl Source {
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let request = |problem: String| Error::Request(problem);
        let architecture = checkpoint.architecture().ok_or_else(|| {
            request("the model does not say its architecture: convert it anew".into())
        })?;
        if checkpoint.tensor("blk.0.attn_kv_a_mqa.weight").is_some() {
            return Err(request(format!("{architecture} models have latent attention already")));
        }
        let known = KNOWN.iter().find(|(name, _)| *name == architecture);
        let Some(&(_, layout)) = known else {
            let names = KNOWN.map(|(name, _)| name).join(", ");
            return Err(request(format!(
                "attention of architecture {architecture:?} is not converted; of {names} it is"
            )));
        };
        let keys = Keys { checkpoint, architecture };
        let (width, heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
        let kv_heads = keys.optional("attention.head_count_kv")?.unwrap_or(heads);
        let key_dim = keys.optional("attention.key_length")?.unwrap_or(width / heads);
        let value_dim = keys.optional("attention.value_length")?.unwrap_or(width / heads);
        let rotated = keys.optional("rope.dimension_count")?.unwrap_or(key_dim);
        if !heads.is_multiple_of(kv_heads) || !rotated.is_multiple_of(2) || rotated > key_dim {
            return Err(request(format!(
                "{heads} heads over {kv_heads} of width {key_dim}, {rotated} columns rotated: the metadata are damaged"
            )));
        }
        Ok(Self {
            checkpoint: checkpoint.clone(),
            architecture: architecture.to_owned(),
            layers: keys.size("block_count")?,
            width,
            context: keys.size("context_length")?,
            heads,
            kv_heads,
            key_dim,
            value_dim,
            pairs: pairs(layout, rotated),
            rest: (rotated..key_dim).collect(),
        })
    }

    fn keys(&self) -> Keys<'_> {
        Keys { checkpoint: &self.checkpoint, architecture: &self.architecture }
    }

    /// Query heads of a key-value head.
    pub fn queries_of(&self, kv_head: usize) -> std::ops::Range<usize> {
        let each = self.heads / self.kv_heads;
        kv_head * each..(kv_head + 1) * each
    }

    pub fn has(&self, layer: usize, name: &str) -> bool {
        self.checkpoint.tensor(&blk(layer, name)).is_some()
    }

    /// The window of attention, where the file states one that is shorter than the context.
    pub fn window(&self) -> Result<Option<usize>> {
        let window = self.keys().optional("attention.sliding_window")?;
        Ok(window.filter(|&window| window > 0 && window < self.context))
    }

    /// What scores are multiplied with.
    pub fn scale(&self) -> f64 {
        let stated = self.keys().number("attention.scale");
        stated.unwrap_or_else(|| (self.key_dim as f64).powf(-0.5))
    }

    pub fn rope_base(&self) -> f64 {
        self.keys().number("rope.freq_base").unwrap_or(10_000.0)
    }

    /// Radians that a position turns each pair by, and what sines and cosines are multiplied with.
    pub fn rotation(&self) -> Result<(Vec<f64>, f64)> {
        let rope = Rope {
            heads: 1,
            dims: 2 * self.pairs.len(),
            layout: RopeLayout::Interleaved,
            base: self.rope_base() as f32,
            scaling: self.scaling()?,
        };
        let frequencies = rope.frequencies(self.context).into_iter().map(f64::from).collect();
        Ok((frequencies, f64::from(rope.attention_factor())))
    }

    fn scaling(&self) -> Result<RopeScaling> {
        let keys = self.keys();
        if let Some(tensor) = self.checkpoint.tensor("rope_freqs.weight") {
            return Ok(RopeScaling::Factors { factors: tensor.load()?.to_f32() });
        }
        if self.checkpoint.tensor("rope_factors_long.weight").is_some() {
            let problem =
                "LongRoPE has other frequencies for long contexts: latent attention has one set";
            return Err(Error::Request(problem.into()));
        }
        let factor = keys.number("rope.scaling.factor").filter(|&factor| factor > 0.0);
        let stated = keys.text("rope.scaling.type");
        match (stated, factor) {
            (Some("none"), _) => Ok(RopeScaling::None),
            (Some("linear"), Some(factor)) => Ok(RopeScaling::Linear { factor: factor as f32 }),
            (Some("yarn"), Some(factor)) => self.yarn(factor as f32),
            (None | Some("linear"), _) => {
                let factor = keys.number("rope.scale_linear").unwrap_or(1.0);
                Ok(RopeScaling::Linear { factor: factor as f32 })
            }
            (Some(other), _) => {
                Err(Error::Request(format!("rotary scaling {other:?} is not converted")))
            }
        }
    }

    fn yarn(&self, factor: f32) -> Result<RopeScaling> {
        let keys = self.keys();
        let number =
            |key: &str, default: f32| keys.number(key).map_or(default, |value| value as f32);
        let original = keys.optional("rope.scaling.original_context_length")?;
        Ok(RopeScaling::Yarn {
            factor,
            original_context: original.unwrap_or(self.context),
            beta_fast: number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow: number("rope.scaling.yarn_beta_slow", 1.0),
            truncate: true,
            attention_factor: number("rope.scaling.attn_factor", 1.0) * yarn_mscale(factor, 1.0),
        })
    }

    pub fn projections(&self, layer: usize) -> Result<Projections> {
        let [q, k] = [self.heads, self.kv_heads].map(|heads| heads * self.key_dim);
        let [v, o] = [self.kv_heads, self.heads].map(|heads| heads * self.value_dim);
        Ok(Projections {
            q: self.with_bias(layer, "attn_q", q)?,
            k: self.with_bias(layer, "attn_k", k)?,
            v: self.with_bias(layer, "attn_v", v)?,
            o: self.matrix(&blk(layer, "attn_output.weight"), &[self.width, o])?,
        })
    }

    fn with_bias(&self, layer: usize, name: &str, rows: usize) -> Result<Matrix> {
        let weight = self.matrix(&blk(layer, &format!("{name}.weight")), &[rows, self.width])?;
        let mut both = weight.insert_column(self.width, 0.0);
        if let Some(bias) = self.vector(layer, &format!("{name}.bias"))? {
            both.column_mut(self.width).copy_from_slice(&bias);
        }
        Ok(both)
    }

    /// A vector of a layer, if it is there.
    pub fn vector(&self, layer: usize, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(tensor) = self.checkpoint.tensor(&blk(layer, name)) else { return Ok(None) };
        Ok(Some(tensor.load()?.to_f32().into_iter().map(f64::from).collect()))
    }

    fn matrix(&self, name: &str, shape: &[usize; 2]) -> Result<Matrix> {
        let tensor = self.checkpoint.tensor(name).ok_or_else(|| {
            Error::tensor(name, "is missing: only attention in four projections is converted")
        })?;
        if tensor.shape() != shape {
            let problem = format!("has shape {:?}, expected {shape:?}", tensor.shape());
            return Err(Error::tensor(name, problem));
        }
        let values = tensor.load()?.to_f32().into_iter().map(f64::from);
        self.checkpoint.release();
        Ok(Matrix::from_row_iterator(shape[0], shape[1], values))
    }

    /// `E[x xᵀ]` of a layer's inputs with a one behind them, for the biases. Without a calibration
    /// it is that of independent inputs of the size that the layer's norm gives them.
    pub fn moment(
        &self,
        layer: usize,
        calibration: Option<&AttentionCalibration>,
    ) -> Result<Matrix> {
        let mut moment = Matrix::identity(self.width + 1, self.width + 1);
        let mut inner = moment.view_mut((0, 0), (self.width, self.width));
        match calibration {
            Some(calibration) => inner.copy_from(calibration.moment(layer)),
            None => {
                let norm = self.vector(layer, "attn_norm.weight")?.unwrap_or_default();
                for (index, weight) in norm.into_iter().enumerate().take(self.width) {
                    inner[(index, index)] = weight * weight;
                }
            }
        }
        // No input is quite impossible, whatever the calibration saw.
        let lift = RIDGE * inner.trace() / self.width as f64;
        for index in 0..self.width {
            inner[(index, index)] += lift;
        }
        Ok(moment)
    }
}

/// The share of the inputs' mean square that is added to each.
const RIDGE: f64 = 1e-4;

/// Name of a tensor of a layer.
pub(super) fn blk(layer: usize, name: &str) -> String {
    format!("blk.{layer}.{name}")
}

fn pairs(layout: RopeLayout, rotated: usize) -> Vec<[usize; 2]> {
    let half = rotated / 2;
    let pair = |index: usize| match layout {
        RopeLayout::Interleaved => [2 * index, 2 * index + 1],
        RopeLayout::Halves => [index, index + half],
    };
    (0..half).map(pair).collect()
}

/// Keys under the architecture's prefix.
struct Keys<'a> {
    checkpoint: &'a Checkpoint,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn optional(&self, key: &str) -> Result<Option<usize>> {
        let full = self.full(key);
        let Some(value) = self.checkpoint.get(&full) else { return Ok(None) };
        let size = value.as_integer().and_then(|value| usize::try_from(value).ok());
        match size {
            Some(size) => Ok(Some(size)),
            None => Err(Error::Request(format!("{full} is {}, not a number", value.describe()))),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        let missing = || {
            Error::Request(format!("{} is missing or 0: convert the model anew", self.full(key)))
        };
        self.optional(key)?.filter(|&size| size > 0).ok_or_else(missing)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.checkpoint.get(&self.full(key))?.as_f32().map(f64::from)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.checkpoint.get(&self.full(key))?.as_str()
    }
}
