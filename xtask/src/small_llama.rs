//! Small llamas that tasks train.

use serde_json::{Value, json};

/// The sizes of one. It reads 512 tokens, and its output matrix is its embedding.
#[derive(Debug, Clone, Copy)]
pub struct SmallLlama {
    pub vocabulary: usize,
    pub width: usize,
    pub inner: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// The deviation of its weights before it has learned anything.
    pub initializer_range: f64,
}

impl SmallLlama {
    /// Hugging Face's configuration of it.
    pub fn config(self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "initializer_range": self.initializer_range,
            "tie_word_embeddings": true,
            "hidden_act": "silu",
            "bos_token_id": 0,
            "eos_token_id": 0,
            "torch_dtype": "float32",
        })
    }
}
