//! Small random models of every family, as checkpoints.

use bytes::Bytes;
use edgeformer_conformance::{random_model, reference};
use edgeformer_core::graph::{Activation, ExpertGroups, RopeLayout, RopeScaling, Scoring};
use edgeformer_core::{Format, Graph, Input, Model, Tensor, Weight, Weights};
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};
use edgeformer_models::families;
use edgeformer_models::gguf::{Gguf, GgufWriter};
use edgeformer_models::hyper::{
    Decoder, Encoder, Family, Feed, Heads, Hyper, Latent, Mixture, Rotary, Vision,
};

use crate::calibration::{Imatrix, ImatrixEntry};
use crate::transform::edit::{columns, matrices};
use crate::transform::random::Random;

/// A model: its architecture in GGUF and its numbers.
pub(super) struct Small {
    pub architecture: &'static str,
    pub hyper: Hyper,
}

/// Every family and form of file.
pub(super) fn all() -> Vec<Small> {
    let made = |architecture, decoder| Small { architecture, hyper: decoder_hyper(decoder) };
    vec![
        llama(),
        made("llama", Decoder { tied: true, ..base(Family::Llama) }),
        made("llama", Decoder { experts: Some(mixture(None)), ..base(Family::Llama) }),
        made("qwen2", biased(base(Family::Qwen2))),
        made("qwen3", base(Family::Qwen3)),
        made("qwen3moe", Decoder { experts: Some(mixture(None)), ..base(Family::Qwen3Moe) }),
        gemma("gemma2", Family::Gemma2),
        gemma("gemma3", Family::Gemma3),
        made("phi3", base(Family::Phi3)),
        made("gpt2", gpt2()),
        made("deepseek2", deepseek(Family::DeepseekV2, None, false)),
        made("deepseek2", deepseek(Family::DeepseekV3, Some(10), true)),
        Small { architecture: "bert", hyper: Hyper::Encoder(bert()) },
        Small {
            architecture: "bert",
            hyper: Hyper::Encoder(Encoder { classes: Some(3), ..bert() }),
        },
        made("llama", Decoder { classes: Some(3), ..base(Family::Llama) }),
        Small { architecture: "vit", hyper: Hyper::Vision(vit()) },
    ]
}

/// The plain one, with grouped queries and a width that is no power of two.
pub(super) fn llama() -> Small {
    Small { architecture: "llama", hyper: decoder_hyper(base(Family::Llama)) }
}

/// A gemma, whose norms stand on both sides of each half.
pub(super) fn gemma(architecture: &'static str, family: Family) -> Small {
    let decoder = Decoder { tied: true, embedding_scale: 24f32.sqrt(), ..base(family) };
    Small { architecture, hyper: decoder_hyper(decoder) }
}

fn decoder_hyper(decoder: Decoder) -> Hyper {
    Hyper::Decoder(Box::new(decoder))
}

fn base(family: Family) -> Decoder {
    let layout = if family == Family::Llama { RopeLayout::Interleaved } else { RopeLayout::Halves };
    Decoder {
        family,
        vocabulary: 48,
        context: 64,
        width: 24,
        layers: 2,
        attention: Heads {
            heads: 4,
            kv_heads: 2,
            key_dim: 6,
            value_dim: 6,
            scale: 0.4,
            soft_cap: None,
            input_bias: false,
            output_bias: false,
        },
        windows: vec![None; 2],
        rotary: Some(Rotary { dims: 6, layout, base: 1e4, scaling: RopeScaling::None }),
        local_rotary: None,
        feed: Feed { width: 32, activation: Activation::Silu, bias: false },
        norm_eps: 1e-5,
        norm_offset: 0.0,
        embedding_scale: 1.0,
        tied: false,
        logit_cap: None,
        experts: None,
        latent: None,
        classes: None,
    }
}

fn biased(mut decoder: Decoder) -> Decoder {
    (decoder.attention.input_bias, decoder.attention.output_bias) = (true, true);
    decoder.feed.bias = true;
    decoder
}

fn gpt2() -> Decoder {
    let mut decoder = biased(base(Family::Gpt2));
    decoder.attention.kv_heads = 4;
    (decoder.rotary, decoder.tied) = (None, true);
    decoder.feed.activation = Activation::GeluTanh;
    decoder
}

fn mixture(shared: Option<usize>) -> Mixture {
    Mixture {
        layers: vec![shared.is_none(), true],
        count: 4,
        top_k: 2,
        width: 20,
        shared_width: shared,
        scoring: Scoring::Softmax,
        selection_bias: false,
        groups: None,
        normalise: true,
        scale: 1.0,
    }
}

fn deepseek(family: Family, query_rank: Option<usize>, split: bool) -> Decoder {
    let mut decoder = base(family);
    decoder.attention = Heads { kv_heads: 4, key_dim: 12, value_dim: 5, ..decoder.attention };
    decoder.rotary.as_mut().unwrap().dims = 4;
    decoder.latent = Some(Latent {
        query_rank,
        rank: 9,
        nope_dim: 8,
        rope_dim: 4,
        value_dim: 5,
        normed: true,
        query_bias: false,
        norm_eps: 1e-5,
        split,
    });
    let mut mixture = mixture(Some(14));
    if split {
        mixture.scoring = Scoring::Sigmoid;
        mixture.selection_bias = true;
        mixture.groups = Some(ExpertGroups { count: 2, top: 1, scored_by: 2 });
    }
    decoder.experts = Some(mixture);
    decoder
}

fn bert() -> Encoder {
    Encoder {
        vocabulary: 48,
        context: 64,
        width: 24,
        layers: 2,
        heads: 4,
        feed: Feed { width: 32, activation: Activation::Gelu, bias: true },
        segments: 2,
        norm_eps: 1e-12,
        classes: None,
    }
}

fn vit() -> Vision {
    Vision {
        channels: 1,
        image: [8, 8],
        patch: [4, 4],
        width: 24,
        layers: 2,
        heads: 4,
        feed: Feed { width: 32, activation: Activation::Gelu, bias: true },
        input_bias: true,
        norm_eps: 1e-6,
        classes: Some(5),
    }
}

impl Small {
    pub fn graph(&self) -> Graph {
        families::graph(&self.hyper).unwrap()
    }

    /// Random weights from a seed, as a file that is in memory.
    pub fn checkpoint(&self) -> Checkpoint {
        let model = random_model(self.graph(), 7, |_| Format::F32).unwrap();
        let mut writer = GgufWriter::new();
        self.metadata(&mut writer);
        for info in &model.graph.weights {
            let values = model.weights.get(&info.name).unwrap().to_f32();
            writer.tensor(&info.name, &Tensor::from_f32(info.shape.clone(), &values).unwrap());
        }
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes).unwrap();
        Checkpoint::from(&Gguf::from_bytes("small.gguf", Bytes::from(bytes)).unwrap())
    }

    fn metadata(&self, writer: &mut GgufWriter<'_>) {
        let prefix = self.architecture;
        let mut key = |key: &str, value: usize| {
            writer.metadata(format!("{prefix}.{key}"), value as u32);
        };
        key("block_count", 2);
        key("embedding_length", 24);
        key("context_length", 64);
        key("feed_forward_length", 32);
        key("attention.head_count", 4);
        if let Hyper::Decoder(decoder) = &self.hyper {
            key("attention.head_count_kv", decoder.attention.kv_heads);
            key("attention.key_length", decoder.attention.key_dim);
            key("attention.value_length", decoder.attention.value_dim);
            key("rope.dimension_count", 6);
        }
        writer.metadata("general.architecture", prefix);
        writer.metadata(format!("{prefix}.attention.layer_norm_rms_epsilon"), 1e-5f32);
        writer.metadata(format!("{prefix}.attention.scale"), 0.4f32);
    }

    /// What the model computes with the weights of a checkpoint, which may have a head of its own
    /// where this one has none.
    pub fn outputs(&self, checkpoint: &Checkpoint) -> Vec<f64> {
        let mut hyper = self.hyper.clone();
        if let Hyper::Decoder(decoder) = &mut hyper {
            decoder.tied = checkpoint.tensor("output.weight").is_none();
        }
        let mut weights = Weights::default();
        for tensor in &checkpoint.tensors {
            weights.insert(tensor.name(), Weight::whole(tensor.load().unwrap()));
        }
        let model = Model { graph: families::graph(&hyper).unwrap(), weights };
        let mut random = Random::new(1);
        let pixels: Vec<f32> = (0..64).map(|_| random.gaussian() as f32).collect();
        let input = match self.hyper {
            Hyper::Vision(_) => Input::Pixels(&pixels),
            _ => Input::Tokens(&[3, 1, 4, 1, 5, 9, 2, 6, 5, 35]),
        };
        reference::evaluate(&model, input, 64).unwrap().data().to_vec()
    }
}

/// An importance matrix for every matrix, made up from a seed: what one would measure but for the
/// numbers. Readers of the same channels have the same.
pub(super) fn imatrix(checkpoint: &Checkpoint) -> Imatrix {
    let entry = |tensor: &LazyTensor| {
        let (columns, matrices) = (columns(tensor), matrices(tensor));
        let mut random = Random::new(columns as u64);
        let largest: Vec<f32> = (0..columns * matrices)
            .map(|_| {
                (random.gaussian() as f32).exp()
                    * if random.draw().is_multiple_of(8) { 9.0 } else { 1.0 }
            })
            .collect();
        ImatrixEntry {
            columns,
            sums: largest.iter().map(|largest| largest.powi(2) * 3.0).collect(),
            counts: vec![10.0; matrices],
            largest,
        }
    };
    let matrix = |tensor: &&LazyTensor| tensor.shape().len() > 1;
    let tensors = checkpoint.tensors.iter().filter(matrix);
    Imatrix {
        entries: tensors.map(|tensor| (tensor.name().to_owned(), entry(tensor))).collect(),
        ..Imatrix::default()
    }
}

/// The distance of two outputs over the length of the first.
pub(super) fn distance(before: &[f64], after: &[f64]) -> f64 {
    assert_eq!(before.len(), after.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let distance = square(&mut before.iter().zip(after).map(|(a, b)| a - b));
    (distance / square(&mut before.iter().copied())).sqrt()
}

/// Rounds as Q4_0 does, in blocks of `block` columns that may be fewer than 32: half an absmax
/// of precision.
pub(in crate::transform) fn round4(values: &[f32], columns: usize, block: usize) -> Vec<f32> {
    let mut rounded = values.to_vec();
    for row in rounded.chunks_mut(columns) {
        for block in row.chunks_mut(block) {
            let largest = block.iter().fold(0.0f32, |a, b| if b.abs() > a.abs() { *b } else { a });
            let step = if largest == 0.0 { 1.0 } else { largest / -8.0 };
            block.iter_mut().for_each(|x| *x = (*x / step).round().clamp(-8.0, 7.0) * step);
        }
    }
    rounded
}
