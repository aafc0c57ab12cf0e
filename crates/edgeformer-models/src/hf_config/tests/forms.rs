//! The same model in the older and the newer form of `config.json`.

use edgeformer_core::graph::RopeScaling;
use serde_json::{Value, json};

use super::configs::{self, hyper, with};
use crate::hyper::{Decoder, Hyper};

fn decoder(config: &Value) -> Decoder {
    match hyper(config).unwrap() {
        Hyper::Decoder(decoder) => *decoder,
        other => panic!("{other:?} is no decoder"),
    }
}

fn same(older: Value, newer: Value) {
    assert_eq!(configs::graph(&older), configs::graph(&newer));
}

#[test]
fn rope_theta_and_rope_scaling_are_rope_parameters() {
    let newer = json!({
        "rope_theta": null,
        "rope_scaling": null,
        "dtype": "bfloat16",
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    });
    let older = with(configs::llama(), json!({ "torch_dtype": "bfloat16" }));
    same(older, with(configs::llama(), newer));
}

#[test]
fn gemma3_nests_rope_parameters_by_layer_type() {
    let newer = json!({
        "rope_theta": null,
        "rope_local_base_freq": null,
        "rope_scaling": null,
        "sliding_window_pattern": null,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0 },
            "sliding_attention": { "rope_type": "default", "rope_theta": 10000.0 },
        },
    });
    same(configs::gemma3(), with(configs::gemma3(), newer));
}

#[test]
fn gemma3_of_images_and_text_holds_its_text_model() {
    let nested = json!({ "model_type": "gemma3", "text_config": configs::gemma3() });
    same(configs::gemma3(), nested);
}

#[test]
fn layer_types_state_what_max_window_layers_means() {
    let types = json!({
        "max_window_layers": null,
        "layer_types": ["full_attention", "sliding_attention"],
    });
    same(configs::qwen2(), with(configs::qwen2(), types));
    let unused = decoder(&with(configs::qwen2(), json!({ "use_sliding_window": false })));
    assert_eq!(unused.windows, [None, None]);
}

#[test]
fn phi3_calls_longrope_su_and_yarn_too() {
    let named = |kind: &str| {
        let scaling = json!({
            "rope_type": kind,
            "short_factor": [1.0, 1.5],
            "long_factor": [2.0, 4.0],
        });
        with(configs::phi3(), json!({ "rope_scaling": scaling }))
    };
    same(configs::phi3(), named("longrope"));
    same(configs::phi3(), named("yarn"));
}

#[test]
fn linear_scaling_and_head_widths_are_read() {
    let changes = json!({
        "rope_scaling": { "type": "linear", "factor": 4.0 },
        "head_dim": 16,
        "attention_bias": true,
        "mlp_bias": true,
    });
    let llama = decoder(&with(configs::llama(), changes));
    let rotary = llama.rotary.unwrap();
    assert_eq!(rotary.scaling, RopeScaling::Linear { factor: 4.0 });
    assert_eq!((rotary.dims, llama.attention.key_dim), (16, 16));
    assert!(llama.attention.input_bias && llama.attention.output_bias && llama.feed.bias);
}

/// DeepSeek's YaRN: `mscale_all_dim` is on the scores, sines and cosines have the ratio of the two.
#[test]
fn mscale_goes_to_scores_and_its_ratio_to_sines() {
    let temperature = 0.1 * 4f32.ln() + 1.0;
    let v3 = decoder(&configs::deepseek_v3());
    let plain = 12f32.powf(-0.5);
    assert!((v3.attention.scale - plain * temperature * temperature).abs() < 1e-6);
    let factor = |decoder: &Decoder| match decoder.rotary.as_ref().unwrap().scaling {
        RopeScaling::Yarn { attention_factor, .. } => attention_factor,
        _ => panic!("no YaRN"),
    };
    assert_eq!(factor(&v3), 1.0);

    let mut config = configs::deepseek_v3();
    config["rope_scaling"]["mscale_all_dim"] = json!(0);
    let without = decoder(&config);
    assert_eq!(without.attention.scale, plain);
    assert!((factor(&without) - temperature).abs() < 1e-6);
}

#[test]
fn all_layers_may_be_dense() {
    let dense = json!({ "first_k_dense_replace": 2, "num_experts_per_tok": null, "n_group": null });
    assert_eq!(decoder(&with(configs::deepseek_v2(), dense)).experts, None);
}

#[test]
fn a_vit_without_a_classifier_gives_hidden_states() {
    let bare = with(configs::vit(), json!({ "architectures": ["ViTModel"] }));
    assert_eq!(configs::graph(&bare).output.kind, edgeformer_core::graph::OutputKind::HiddenStates);
    let oblong = with(configs::vit(), json!({ "image_size": [16, 32] }));
    assert!(configs::graph(&oblong).to_text().contains("3x[16, 32]"));
}
