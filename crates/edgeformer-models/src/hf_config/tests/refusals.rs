use serde_json::{Value, json};

use super::configs::{self, hyper, with};
use crate::families;

/// What a changed configuration is refused with: by its reader, or by the graph it would make.
fn refusal(config: Value, changes: Value) -> String {
    match hyper(&with(config, changes)) {
        Err(error) => error.to_string(),
        Ok(hyper) => families::graph(&hyper).unwrap_err().to_string(),
    }
}

#[test]
fn every_refusal_names_file_key_and_remedy() {
    let llama = |changes| refusal(configs::llama(), changes);
    let refusals = [
        llama(json!({ "model_type": "mamba" })),
        llama(json!({ "model_type": null })),
        llama(json!({ "hidden_size": null })),
        llama(json!({ "hidden_size": -1 })),
        llama(json!({ "hidden_size": 1e300 })),
        llama(json!({ "num_hidden_layers": 0 })),
        llama(json!({ "num_hidden_layers": 100000 })),
        llama(json!({ "num_attention_heads": 0 })),
        llama(json!({ "num_attention_heads": 5, "num_key_value_heads": 5 })),
        llama(json!({ "num_key_value_heads": 3 })),
        llama(json!({ "rms_norm_eps": 0.0 })),
        llama(json!({ "rms_norm_eps": "small" })),
        llama(json!({ "hidden_act": "xielu" })),
        llama(json!({ "tie_word_embeddings": 1 })),
        llama(json!({ "head_dim": 7 })),
        llama(json!({ "rope_scaling": { "rope_type": "dynamic", "factor": 2.0 } })),
        llama(json!({ "rope_scaling": { "rope_type": "linear" } })),
        llama(json!({ "quantization_config": { "quant_method": "fp8" } })),
        refusal(configs::qwen2(), json!({ "layer_types": ["full_attention"] })),
        refusal(configs::qwen2(), json!({ "layer_types": ["full_attention", "chunked"] })),
        refusal(configs::qwen3_moe(), json!({ "num_experts_per_tok": 9 })),
        refusal(
            configs::phi3(),
            json!({ "rope_scaling": { "type": "su", "short_factor": [1], "long_factor": [1] } }),
        ),
        refusal(configs::deepseek_v3(), json!({ "n_group": 3 })),
        refusal(configs::deepseek_v2(), json!({ "topk_method": "noaux_tc" })),
        refusal(configs::gpt2(), json!({ "scale_attn_by_inverse_layer_idx": true })),
        refusal(configs::bert(), json!({ "is_decoder": true })),
        refusal(configs::bert(), json!({ "position_embedding_type": "relative_key" })),
        refusal(configs::classifier(configs::bert()), json!({ "id2label": {} })),
        refusal(
            configs::classifier(configs::llama()),
            json!({ "id2label": null, "num_labels": 0 }),
        ),
        refusal(
            configs::classifier(configs::llama()),
            json!({ "problem_type": "multi_label_classification" }),
        ),
        refusal(configs::vit(), json!({ "patch_size": 17 })),
        refusal(configs::vit(), json!({ "image_size": [1, 2, 3] })),
    ];
    assert!(refusals.iter().all(|refusal| !refusal.contains('\n')));
    insta::assert_snapshot!(refusals.join("\n"));
}
