use edgeformer_models::gguf::GgufWriter;

use crate::run::Result;

/// What a model looks like.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    pub architecture: &'static str,
    pub layers: usize,
    pub width: usize,
    pub ffn: usize,
    pub heads: usize,
    pub attention: Attention,
    pub vocabulary: usize,
    context: u32,
    rope_base: f32,
    eps: f32,
}

/// What kind of attention it has.
#[derive(Debug)]
pub enum Attention {
    /// Grouped-query attention.
    Grouped { kv_heads: usize, head: usize, bias: bool },
    /// Multi-head latent attention.
    Latent { rank: usize, rope: usize, nope: usize, value: usize },
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "llama-1b",
        architecture: "llama",
        layers: 16,
        width: 2048,
        ffn: 8192,
        heads: 32,
        attention: Attention::Grouped { kv_heads: 8, head: 64, bias: false },
        vocabulary: 128_256,
        context: 131_072,
        rope_base: 500_000.0,
        eps: 1e-5,
    },
    Shape {
        name: "qwen-0.5b",
        architecture: "qwen2",
        layers: 24,
        width: 896,
        ffn: 4864,
        heads: 14,
        attention: Attention::Grouped { kv_heads: 2, head: 64, bias: true },
        vocabulary: 151_936,
        context: 32_768,
        rope_base: 1_000_000.0,
        eps: 1e-6,
    },
    Shape {
        name: "smollm-135m",
        architecture: "llama",
        layers: 30,
        width: 576,
        ffn: 1536,
        heads: 9,
        attention: Attention::Grouped { kv_heads: 3, head: 64, bias: false },
        vocabulary: 49_152,
        context: 8192,
        rope_base: 100_000.0,
        eps: 1e-5,
    },
    Shape {
        name: "mla-lite",
        architecture: "deepseek2",
        layers: 12,
        width: 1024,
        ffn: 4096,
        heads: 16,
        attention: Attention::Latent { rank: 512, rope: 64, nope: 128, value: 128 },
        vocabulary: 102_400,
        context: 32_768,
        rope_base: 10_000.0,
        eps: 1e-6,
    },
];

impl Shape {
    /// The shape of that name.
    pub fn named(name: &str) -> Result<&'static Self> {
        SHAPES.iter().find(|shape| shape.name == name).ok_or_else(|| {
            let known: Vec<_> = SHAPES.iter().map(|shape| shape.name).collect();
            format!("there is no model {name:?}; known are {}", known.join(", "))
        })
    }

    /// Writes its hyper-parameters.
    pub fn describe(&self, file: &mut GgufWriter<'_>) {
        file.metadata("general.architecture", self.architecture);
        file.metadata("general.name", self.name);
        file.metadata("general.description", "random weights in real shapes, for benchmarks");
        let mut set = |key: &str, value: usize| {
            file.metadata(format!("{}.{key}", self.architecture), value as u32);
        };
        set("context_length", self.context as usize);
        set("block_count", self.layers);
        set("embedding_length", self.width);
        set("feed_forward_length", self.ffn);
        set("vocab_size", self.vocabulary);
        set("attention.head_count", self.heads);
        match self.attention {
            Attention::Grouped { kv_heads, head, .. } => {
                set("attention.head_count_kv", kv_heads);
                set("rope.dimension_count", head);
            }
            Attention::Latent { rank, rope, nope, value } => {
                // As converters write it today: one key-value head as wide as a latent.
                set("attention.head_count_kv", 1);
                set("attention.kv_lora_rank", rank);
                set("attention.key_length", rank + rope);
                set("attention.value_length", rank);
                set("attention.key_length_mla", nope + rope);
                set("attention.value_length_mla", value);
                set("rope.dimension_count", rope);
                // Queries have no latents and every layer is dense; llama.cpp asks for these keys
                // all the same.
                set("attention.q_lora_rank", 0);
                set("leading_dense_block_count", self.layers);
                set("expert_count", 0);
                set("expert_used_count", 0);
                set("expert_shared_count", 0);
                set("expert_feed_forward_length", self.ffn);
            }
        }
        file.metadata(format!("{}.attention.layer_norm_rms_epsilon", self.architecture), self.eps);
        file.metadata(format!("{}.rope.freq_base", self.architecture), self.rope_base);
    }
}
