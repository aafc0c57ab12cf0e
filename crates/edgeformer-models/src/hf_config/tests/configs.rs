//! Small configurations, one a family. Together they have both forms of rotary parameters, every
//! scaling, windows of every kind, and every form of routing.

use std::path::Path;

use edgeformer_core::Graph;
use serde_json::{Value, json};

use crate::hyper::Hyper;
use crate::json::Object;
use crate::{Result, families};

/// Every family's configuration, with the name of its graph.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("llama", llama()),
        ("mistral", mistral()),
        ("qwen2", qwen2()),
        ("qwen3", qwen3()),
        ("qwen3-moe", qwen3_moe()),
        ("gemma2", gemma2()),
        ("gemma3", gemma3()),
        ("phi3", phi3()),
        ("gpt2", gpt2()),
        ("deepseek-v2", deepseek_v2()),
        ("deepseek-v3", deepseek_v3()),
        ("bert", bert()),
        ("vit", vit()),
    ]
}

/// Every family of texts as a classifier of three classes, with the name of its snapshot.
pub(crate) fn classifiers() -> Vec<(String, Value)> {
    let texts = all().into_iter().filter(|(name, _)| *name != "vit");
    texts.map(|(name, config)| (format!("{name}-classifier"), classifier(config))).collect()
}

/// A configuration's model with a classifier of three classes.
pub(crate) fn classifier(config: Value) -> Value {
    let classes = json!({
        "architectures": ["SomeForSequenceClassification"],
        "id2label": { "0": "cat", "1": "dog", "2": "bird" },
    });
    with(config, classes)
}

/// The hyper-parameters of a configuration.
pub(crate) fn hyper(config: &Value) -> Result<Hyper> {
    super::super::hyper(&object(config))
}

/// The graph of a configuration that is right.
pub(crate) fn graph(config: &Value) -> Graph {
    families::graph(&hyper(config).unwrap()).unwrap()
}

fn object(config: &Value) -> Object {
    Object::parse(Path::new("config.json"), &config.to_string()).unwrap()
}

/// A configuration with other values for some keys; null takes a key out.
pub(crate) fn with(mut config: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn base(model_type: &str) -> Value {
    json!({
        "model_type": model_type,
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
    })
}

pub(crate) fn llama() -> Value {
    let scaling = json!({
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    });
    with(base("llama"), json!({ "rope_theta": 500000.0, "rope_scaling": scaling }))
}

pub(crate) fn mistral() -> Value {
    with(base("mistral"), json!({ "head_dim": 16, "sliding_window": 16 }))
}

pub(crate) fn qwen2() -> Value {
    let windows = json!({
        "use_sliding_window": true,
        "sliding_window": 16,
        "max_window_layers": 1,
        "tie_word_embeddings": true,
        "rope_parameters": { "rope_type": "default", "rope_theta": 1000000.0 },
    });
    with(base("qwen2"), windows)
}

pub(crate) fn qwen3() -> Value {
    let scaling = json!({
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 1000000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    });
    with(base("qwen3"), scaling)
}

pub(crate) fn qwen3_moe() -> Value {
    let experts = json!({
        "head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "norm_topk_prob": true,
        "mlp_only_layers": [0],
    });
    with(base("qwen3_moe"), experts)
}

pub(crate) fn gemma2() -> Value {
    let caps = json!({
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "sliding_window": 16,
        "hidden_act": null,
        "hidden_activation": "gelu_pytorch_tanh",
    });
    with(base("gemma2"), caps)
}

pub(crate) fn gemma3() -> Value {
    let rope = json!({
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 16,
        "sliding_window_pattern": 2,
        "hidden_act": null,
        "hidden_activation": "gelu_pytorch_tanh",
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
    });
    with(base("gemma3_text"), rope)
}

pub(crate) fn phi3() -> Value {
    let rope = json!({
        "original_max_position_embeddings": 32,
        "partial_rotary_factor": 0.5,
        "rope_scaling": { "type": "su", "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0] },
        "sliding_window": 64,
    });
    with(base("phi3"), rope)
}

pub(crate) fn gpt2() -> Value {
    json!({
        "model_type": "gpt2",
        "vocab_size": 64,
        "n_embd": 32,
        "n_head": 4,
        "n_layer": 2,
        "n_positions": 128,
        "n_inner": null,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
    })
}

fn latent(model_type: &str) -> Value {
    let dims = json!({
        "num_key_value_heads": 4,
        "kv_lora_rank": 16,
        "q_lora_rank": 24,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4,
        "v_head_dim": 8,
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 12,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "num_experts_per_tok": 2,
    });
    with(base(model_type), dims)
}

pub(crate) fn deepseek_v2() -> Value {
    let routing = json!({
        "q_lora_rank": null,
        "topk_method": "group_limited_greedy",
        "n_group": 4,
        "topk_group": 2,
        "routed_scaling_factor": 16.0,
    });
    with(latent("deepseek_v2"), routing)
}

pub(crate) fn deepseek_v3() -> Value {
    let routing = json!({
        "n_group": 4,
        "topk_group": 2,
        "norm_topk_prob": true,
        "routed_scaling_factor": 2.5,
        "rope_scaling": {
            "type": "yarn",
            "factor": 4.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "beta_fast": 32,
            "beta_slow": 1,
            "original_max_position_embeddings": 32,
        },
    });
    with(latent("deepseek_v3"), routing)
}

pub(crate) fn bert() -> Value {
    json!({
        "model_type": "bert",
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
    })
}

pub(crate) fn vit() -> Value {
    json!({
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 16,
        "patch_size": 8,
        "num_channels": 3,
        "id2label": { "0": "cat", "1": "dog", "2": "bird" },
    })
}
