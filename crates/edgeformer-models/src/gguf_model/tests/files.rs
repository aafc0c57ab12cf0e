//! Small GGUF files in memory.

use bytes::Bytes;
use edgeformer_core::Tensor;
use edgeformer_core::graph::WeightInfo;
use serde_json::Value;

use crate::gguf::{GgufWriter, MetadataValue};
use crate::hf_config::tests::configs;
use crate::{ModelFile, OpenOptions, Result, open_gguf_bytes};

/// A file to be written: the weights of a configuration's graph, and keys.
pub(super) struct File {
    config: Value,
    architecture: &'static str,
    keys: Vec<(String, MetadataValue<'static>)>,
    tensors: Vec<(String, Tensor)>,
}

impl File {
    /// The weights of the configuration's graph under their names, and no keys.
    pub fn of(config: &Value, architecture: &'static str) -> Self {
        let graph = configs::graph(config);
        let tensors = graph.weights.iter().map(|info| (info.name.clone(), filled(info))).collect();
        Self { config: config.clone(), architecture, keys: Vec::new(), tensors }
    }

    /// Sets a key of the architecture.
    pub fn key(mut self, key: &str, value: impl Into<MetadataValue<'static>>) -> Self {
        self = self.without_key(key);
        self.keys.push((format!("{}.{key}", self.architecture), value.into()));
        self
    }

    /// Takes a key of the architecture out.
    pub fn without_key(mut self, key: &str) -> Self {
        let full = format!("{}.{key}", self.architecture);
        self.keys.retain(|(key, _)| *key != full);
        self
    }

    /// Adds or replaces a tensor.
    pub fn tensor(mut self, name: &str, tensor: Tensor) -> Self {
        self.tensors.retain(|(known, _)| known != name);
        self.tensors.push((name.into(), tensor));
        self
    }

    /// Takes out the tensors whose names hold a text.
    pub fn without(mut self, part: &str) -> Self {
        self.tensors.retain(|(name, _)| !name.contains(part));
        self
    }

    /// The keys that llama-like decoders have in common.
    pub fn decoder_keys(self) -> Self {
        let number = |key: &str| self.config[key].as_u64().map(|number| number as u32);
        let size = |key: &str| number(key).unwrap();
        let (layers, width) = (size("num_hidden_layers"), size("hidden_size"));
        let (heads, kv_heads) = (size("num_attention_heads"), size("num_key_value_heads"));
        let (feed, context) = (size("intermediate_size"), size("max_position_embeddings"));
        let dim = number("head_dim").unwrap_or(width / heads);
        let share = self.config["partial_rotary_factor"].as_f64().unwrap_or(1.0);
        self.key("block_count", layers)
            .key("embedding_length", width)
            .key("feed_forward_length", feed)
            .key("context_length", context)
            .key("attention.head_count", heads)
            .key("attention.head_count_kv", kv_heads)
            .key("attention.key_length", dim)
            .key("attention.value_length", dim)
            .key("attention.layer_norm_rms_epsilon", 1e-5f32)
            .key("rope.dimension_count", (f64::from(dim) * share) as u32)
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Bytes {
        let mut writer = GgufWriter::new();
        writer.metadata("general.architecture", self.architecture);
        for (key, value) in &self.keys {
            writer.metadata(key.clone(), value.clone());
        }
        for (name, tensor) in &self.tensors {
            writer.tensor(name.clone(), tensor);
        }
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes).unwrap();
        bytes.into()
    }

    /// The model in it.
    pub fn open(&self) -> Result<ModelFile> {
        open_gguf_bytes("small.gguf", self.bytes(), &OpenOptions::default())
    }
}

fn filled(info: &WeightInfo) -> Tensor {
    let count: usize = info.shape.iter().product();
    Tensor::from_f32(info.shape.clone(), &vec![0.5; count]).unwrap()
}

pub(super) fn llama(config: &Value) -> File {
    File::of(config, "llama").decoder_keys().key("rope.freq_base", 5e5f32)
}

pub(super) fn gpt2(config: &Value) -> File {
    File::of(config, "gpt2")
        .key("block_count", 2u32)
        .key("context_length", 128u32)
        .key("feed_forward_length", 128u32)
        .key("attention.head_count", 4u32)
        .key("attention.layer_norm_epsilon", 1e-5f32)
}

pub(super) fn bert(config: &Value) -> File {
    File::of(config, "bert")
        .key("block_count", 2u32)
        .key("context_length", 128u32)
        .key("feed_forward_length", 48u32)
        .key("attention.head_count", 4u32)
        .key("attention.layer_norm_epsilon", 1e-12f32)
        .key("attention.causal", false)
}

/// The keys that V2 and V3 have in common.
pub(super) fn deepseek(config: &Value) -> File {
    File::of(config, "deepseek2")
        .decoder_keys()
        .key("rope.dimension_count", 4u32)
        .key("attention.kv_lora_rank", 16u32)
        .key("leading_dense_block_count", 1u32)
        .key("expert_count", 8u32)
        .key("expert_used_count", 2u32)
        .key("expert_shared_count", 2u32)
        .key("expert_feed_forward_length", 12u32)
}

/// V3 in the newer form: one key-value head as wide as a latent.
pub(super) fn deepseek_v3(config: &Value) -> File {
    deepseek(config)
        .key("attention.head_count_kv", 1u32)
        .key("attention.q_lora_rank", 24u32)
        .key("attention.key_length", 20u32)
        .key("attention.value_length", 16u32)
        .key("attention.key_length_mla", 12u32)
        .key("attention.value_length_mla", 8u32)
        .key("expert_group_count", 4u32)
        .key("expert_group_used_count", 2u32)
        .key("expert_weights_scale", 2.5f32)
        .key("expert_weights_norm", true)
        .key("expert_gating_func", 2u32)
        .key("rope.scaling.type", "yarn")
        .key("rope.scaling.factor", 4.0f32)
        .key("rope.scaling.original_context_length", 32u32)
        .key("rope.scaling.yarn_log_multiplier", 0.1f32)
}
