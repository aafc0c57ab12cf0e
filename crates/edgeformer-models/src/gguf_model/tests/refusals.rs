use edgeformer_core::Tensor;

use super::files::{self, File};
use crate::hf_config::tests::configs;

fn zeros<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::from_f32(shape, &vec![0.0; shape.iter().product()]).unwrap()
}

#[test]
fn every_refusal_names_file_place_and_remedy() {
    let llama = || files::llama(&configs::llama());
    let other = |architecture| File::of(&configs::llama(), architecture).decoder_keys();
    let files = [
        other("mamba"),
        llama().without_key("block_count"),
        llama().key("block_count", 0u32),
        llama().key("block_count", 3u32),
        llama().key("block_count", 1u32 << 20),
        llama().key("block_count", "two"),
        llama().key("attention.head_count", 0u32),
        llama().key("attention.head_count_kv", 3u32),
        llama().key("attention.layer_norm_rms_epsilon", f32::NAN),
        llama().key("attention.layer_norm_rms_epsilon", -1.0f32),
        llama().key("rope.dimension_count", 7u32),
        llama().key("rope.scaling.type", "dynamic"),
        llama().tensor("rope_freqs.weight", zeros([3])),
        llama().without("blk.1.attn_k.weight"),
        llama().without(""),
        llama().tensor("blk.0.attn_q.weight", zeros([32, 16])),
        llama().tensor("blk.0.attn_q.bias", zeros([32])),
        llama().tensor("blk.7.attn_q.weight", zeros([32, 32])),
        files::bert(&configs::bert()).key("attention.causal", true),
        files::deepseek_v3(&configs::deepseek_v3()).key("attention.key_length_mla", 4u32),
        files::deepseek_v3(&configs::deepseek_v3()).key("expert_gating_func", 3u32),
        files::deepseek_v3(&configs::deepseek_v3()).key("expert_used_count", 9u32),
    ];
    let refusals = files.map(|file| file.open().unwrap_err().to_string());
    assert!(refusals.iter().all(|refusal| !refusal.contains('\n')));
    insta::assert_snapshot!(refusals.join("\n"));
}
