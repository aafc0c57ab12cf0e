//! GGUF files of every architecture, made in memory from the graphs of the Hugging Face
//! configurations: both sources must say the same but for what conversion changes.

mod files;
mod refusals;

use edgeformer_core::graph::{ExpertGroups, RopeLayout, RopeScaling, Scoring};
use edgeformer_core::{Format, Tensor};
use serde_json::json;

use crate::hf_config::tests::configs::{self, with};
use crate::hyper::{Decoder, Family, Hyper};
use files::File;

fn decoder(hyper: Hyper) -> Decoder {
    match hyper {
        Hyper::Decoder(decoder) => *decoder,
        other => panic!("{other:?} is no decoder"),
    }
}

/// What the configuration says, and what the file made of it says.
fn both(config: serde_json::Value, file: &File) -> (Decoder, Decoder) {
    (decoder(configs::hyper(&config).unwrap()), decoder(file.open().unwrap().hyper))
}

#[test]
fn llama_rotates_neighbours_and_has_its_divisors_in_a_tensor() {
    let config = configs::llama();
    let divisors = Tensor::from_f32([4], &[1.0, 2.0, 4.0, 8.0]).unwrap();
    let file = files::llama(&config).tensor("rope_freqs.weight", divisors);
    let (mut expected, found) = both(config, &file);
    let rotary = expected.rotary.as_mut().unwrap();
    rotary.layout = RopeLayout::Interleaved;
    rotary.scaling = RopeScaling::Factors { factors: vec![1.0, 2.0, 4.0, 8.0] };
    assert_eq!(found, expected);
}

#[test]
fn llama_reads_linear_and_yarn_scaling() {
    let config = configs::llama();
    let scaling = |file: File| decoder(file.open().unwrap().hyper).rotary.unwrap().scaling;
    let linear =
        files::llama(&config).key("rope.scaling.type", "linear").key("rope.scaling.factor", 4.0f32);
    assert_eq!(scaling(linear), RopeScaling::Linear { factor: 4.0 });
    let yarn = files::llama(&config)
        .key("rope.scaling.type", "yarn")
        .key("rope.scaling.factor", 4.0f32)
        .key("rope.scaling.original_context_length", 32u32);
    let expected = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 32,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate: true,
        attention_factor: 0.1 * 4f32.ln() + 1.0,
    };
    assert_eq!(scaling(yarn), expected);
}

#[test]
fn llama_with_experts_is_mixtral() {
    let config = with(
        configs::qwen3_moe(),
        json!({ "head_dim": null, "mlp_only_layers": [], "moe_intermediate_size": 48 }),
    );
    let file = files::llama(&config).without("attn_q_norm").without("attn_k_norm");
    let file = file.key("expert_count", 4u32).key("expert_used_count", 2u32);
    let model = file.open().unwrap().model;
    assert!(model.graph.to_text().contains("top=2/4 width=48 softmax silu normalise"));
}

#[test]
fn qwen2_is_the_same_from_both_sources() {
    let plain = json!({ "use_sliding_window": false });
    let config = with(configs::qwen2(), plain);
    let file = File::of(&config, "qwen2").decoder_keys().key("rope.freq_base", 1e6f32);
    let (expected, found) = both(config, &file);
    assert_eq!(found, expected);
}

#[test]
fn qwen3_is_the_same_from_both_sources() {
    let config = configs::qwen3();
    let file = File::of(&config, "qwen3").decoder_keys().key("rope.freq_base", 1e6f32);
    let file = file
        .key("rope.scaling.type", "yarn")
        .key("rope.scaling.factor", 4.0f32)
        .key("rope.scaling.original_context_length", 32u32);
    let (expected, found) = both(config, &file);
    assert_eq!(found, expected);
}

#[test]
fn qwen3_moe_has_experts_in_every_layer() {
    let config = with(configs::qwen3_moe(), json!({ "mlp_only_layers": [] }));
    let file = File::of(&config, "qwen3moe")
        .decoder_keys()
        .key("expert_count", 4u32)
        .key("expert_used_count", 2u32)
        .key("expert_feed_forward_length", 24u32);
    let (expected, found) = both(config, &file);
    assert_eq!(found, expected);
}

#[test]
fn gemma2_has_its_norms_offset_baked_in() {
    let config = with(configs::gemma2(), json!({ "query_pre_attn_scalar": 16 }));
    let file = File::of(&config, "gemma2")
        .decoder_keys()
        .key("attention.sliding_window", 16u32)
        .key("final_logit_softcapping", 30.0f32);
    let (mut expected, found) = both(config, &file);
    expected.norm_offset = 0.0;
    assert_eq!(found, expected);
}

#[test]
fn gemma3_scales_only_layers_without_a_window() {
    let config = with(configs::gemma3(), json!({ "sliding_window_pattern": 6 }));
    let file = File::of(&config, "gemma3")
        .decoder_keys()
        .key("attention.sliding_window", 16u32)
        .key("rope.freq_base", 1e6f32)
        .key("rope.scaling.type", "linear")
        .key("rope.scaling.factor", 8.0f32);
    let (mut expected, found) = both(config, &file);
    expected.norm_offset = 0.0;
    assert_eq!(found, expected);
}

#[test]
fn phi3_has_longrope_in_tensors() {
    let config = configs::phi3();
    let factors = |values: [f32; 2]| Tensor::from_f32([2], &values).unwrap();
    let file = File::of(&config, "phi3")
        .decoder_keys()
        .key("attention.sliding_window", 64u32)
        .key("rope.scaling.original_context_length", 32u32)
        .tensor("rope_factors_short.weight", factors([1.0, 1.5]))
        .tensor("rope_factors_long.weight", factors([2.0, 4.0]));
    let (expected, found) = both(config, &file);
    assert_eq!(found, expected);
}

#[test]
fn gpt2_is_the_same_from_both_sources() {
    let config = configs::gpt2();
    let (expected, found) = both(config.clone(), &files::gpt2(&config));
    assert_eq!(found, expected);
}

#[test]
fn bert_is_the_same_from_both_sources() {
    let config = configs::bert();
    let file = files::bert(&config).key("pooling_type", 2u32);
    let opened = file.open().unwrap();
    assert_eq!(opened.hyper, configs::hyper(&config).unwrap());
    assert_eq!(opened.pooling, Some(edgeformer_core::graph::Pool::Class));
}

#[test]
fn deepseek2_of_v3_moves_yarns_temperature_to_the_scores() {
    let config = configs::deepseek_v3();
    let (mut expected, found) = both(config.clone(), &files::deepseek_v3(&config));
    // The layers' norms and those of latents have one epsilon in GGUF.
    expected.latent.as_mut().unwrap().norm_eps = 1e-5;
    assert_eq!(found, expected);
}

#[test]
fn deepseek2_of_v2_scores_groups_by_their_best() {
    let config = configs::deepseek_v2();
    let file = files::deepseek(&config)
        .key("attention.key_length", 12u32)
        .key("attention.value_length", 8u32)
        .key("expert_group_count", 4u32)
        .key("expert_group_used_count", 2u32)
        .key("expert_weights_scale", 16.0f32);
    let (mut expected, found) = both(config, &file);
    expected.latent.as_mut().unwrap().norm_eps = 1e-5;
    assert_eq!(found, expected);
    let mixture = found.experts.unwrap();
    assert_eq!(mixture.scoring, Scoring::Softmax);
    assert_eq!(mixture.groups, Some(ExpertGroups { count: 4, top: 2, scored_by: 1 }));
    assert_eq!(found.family, Family::DeepseekV2);
}

#[test]
fn deepseek2_may_hold_the_up_projection_in_two() {
    let config = configs::deepseek_v3();
    let ones =
        |shape: [usize; 3]| Tensor::from_f32(shape, &vec![1.0; shape.iter().product()]).unwrap();
    let mut file = files::deepseek_v3(&config).without("attn_kv_b");
    for layer in 0..2 {
        file = file
            .tensor(&format!("blk.{layer}.attn_k_b.weight"), ones([4, 16, 8]))
            .tensor(&format!("blk.{layer}.attn_v_b.weight"), ones([4, 8, 16]));
    }
    let text = file.open().unwrap().model.graph.to_text();
    assert!(text.contains("blk.1.attn_k_b.weight[4, 16, 8] blk.1.attn_v_b.weight[4, 8, 16]"));
}

#[test]
fn deepseek2_may_lack_the_norm_of_latents() {
    let config = configs::deepseek_v3();
    let whole = files::deepseek_v3(&config).open().unwrap().model.graph.to_text();
    assert!(whole.contains("attn_kv_a_norm"));
    let bare = files::deepseek_v3(&config).without("attn_kv_a_norm").open().unwrap();
    assert!(!bare.model.graph.to_text().contains("attn_kv_a_norm"));
    let damaged = files::deepseek_v3(&config).without("blk.0.attn_kv_a_norm").open();
    assert!(damaged.unwrap_err().to_string().contains("is left over"));
}

#[test]
fn listings_show_what_the_file_has() {
    let opened = files::llama(&configs::llama()).open().unwrap();
    let metadata = opened.metadata();
    assert!(metadata.iter().any(|(key, value)| key == "llama.block_count" && value.contains('2')));
    let tensors = opened.tensors();
    let table = tensors.iter().find(|line| line.name == "token_embd.weight").unwrap();
    assert_eq!((table.shape.as_slice(), table.bytes), (&[64, 32][..], 64 * 32 * 4));
    assert_eq!(table.format, Format::F32.name());
    assert_eq!(opened.tokenizer_bytes(), 0);
}
