//! Whole models: hyper-parameters, graph and weights from GGUF files and Hugging Face folders.

use std::fs;
use std::path::Path;

use edgeformer_core::Tensor;
use edgeformer_models::gguf::{GgufWriter, MetadataValue};
use edgeformer_models::{OpenOptions, open_gguf_bytes, open_with};
use tempfile::TempDir;

use crate::containers::written;
use crate::targets::Target;

/// What a graph of one layer, its weights' names and a message may take.
const SLACK: usize = 256 << 10;

const OPTIONS: OpenOptions = OpenOptions { tokenizer: false };

pub fn targets() -> Vec<Target> {
    let mut targets = vec![Target {
        name: "models in gguf".into(),
        seeds: vec![llama(), deepseek(), bert()],
        read: Box::new(|file| open_gguf_bytes("model.gguf", file.clone(), &OPTIONS).map(drop)),
        mutations: 20_000,
        slack: SLACK,
    }];
    let Some(fixtures) = edgeformer_conformance::shared("fixtures/hf") else { return targets };
    for entry in fs::read_dir(&fixtures).expect("a folder") {
        let folder = entry.expect("an entry").path();
        let config = fs::read(folder.join("config.json")).expect("fixtures have one");
        targets.push(json_file(&folder, "config.json", config));
    }
    let folder = |name| fixtures.join(name);
    targets.push(json_file(&folder("llama-gqa"), "generation_config.json", GENERATION.into()));
    targets.push(json_file(&folder("vit"), "preprocessor_config.json", PREPROCESSOR.into()));
    targets
}

const GENERATION: &[u8] = br#"{"bos_token_id":1,"eos_token_id":[2,3],"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.8,"min_p":0.1,"repetition_penalty":1.05,"max_new_tokens":100}"#;

const PREPROCESSOR: &[u8] = br#"{"do_resize":true,"size":{"height":32,"width":32},"resample":2,"do_center_crop":false,"do_rescale":true,"rescale_factor":0.00392156862745098,"do_normalize":true,"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5]}"#;

/// One JSON file of a folder, damaged, with everything else as it was.
fn json_file(folder: &Path, file: &str, seed: Vec<u8>) -> Target {
    let damaged = TempDir::new().expect("a temporary folder");
    let mut others = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("an entry has a name");
        others += fs::copy(&path, damaged.path().join(name)).expect("copied") as usize;
    }
    let path = damaged.path().join(file);
    Target {
        name: format!("{file} of {}", folder.file_name().unwrap_or_default().display()),
        seeds: vec![seed],
        read: Box::new(move |bytes| {
            fs::write(&path, bytes).expect("written");
            open_with(damaged.path(), &OPTIONS).map(drop)
        }),
        mutations: 500,
        // Matrices that a folder holds transposed are copied.
        slack: SLACK + 2 * others,
    }
}

/// A GGUF model: `general.architecture`, keys under its prefix, and tensors of such shapes.
fn model<const N: usize>(
    architecture: &str,
    keys: [(&str, MetadataValue<'static>); N],
    tensors: &[(&str, &[usize])],
) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    writer.metadata("general.architecture", architecture);
    for (key, value) in keys {
        writer.metadata(format!("{architecture}.{key}"), value);
    }
    for (name, shape) in tensors {
        let values = vec![0.5; shape.iter().product()];
        let tensor = Tensor::from_f32(shape.to_vec(), &values).expect("fits");
        let suffix = if name.ends_with(".bias") { "" } else { ".weight" };
        writer.tensor(format!("{name}{suffix}"), &tensor);
    }
    written(&writer)
}

pub fn llama() -> Vec<u8> {
    let keys = [
        ("context_length", 64u32.into()),
        ("embedding_length", 8u32.into()),
        ("block_count", 1u32.into()),
        ("feed_forward_length", 16u32.into()),
        ("attention.head_count", 2u32.into()),
        ("attention.head_count_kv", 1u32.into()),
        ("attention.layer_norm_rms_epsilon", 1e-5f32.into()),
        ("attention.sliding_window", 16u32.into()),
        ("rope.freq_base", 10_000f32.into()),
        ("rope.scaling.type", "yarn".into()),
        ("rope.scaling.factor", 4f32.into()),
        ("rope.scaling.original_context_length", 16u32.into()),
    ];
    let tensors: [(&str, &[usize]); 11] = [
        ("token_embd", &[32, 8]),
        ("output_norm", &[8]),
        ("blk.0.attn_norm", &[8]),
        ("blk.0.attn_q", &[8, 8]),
        ("blk.0.attn_k", &[4, 8]),
        ("blk.0.attn_v", &[4, 8]),
        ("blk.0.attn_output", &[8, 8]),
        ("blk.0.ffn_norm", &[8]),
        ("blk.0.ffn_gate", &[16, 8]),
        ("blk.0.ffn_up", &[16, 8]),
        ("blk.0.ffn_down", &[8, 16]),
    ];
    model("llama", keys, &tensors)
}

/// With latent attention, and experts from the second layer on.
fn deepseek() -> Vec<u8> {
    let keys = [
        ("context_length", 64u32.into()),
        ("embedding_length", 8u32.into()),
        ("block_count", 2u32.into()),
        ("feed_forward_length", 16u32.into()),
        ("attention.head_count", 2u32.into()),
        ("attention.head_count_kv", 2u32.into()),
        ("attention.layer_norm_rms_epsilon", 1e-5f32.into()),
        ("attention.kv_lora_rank", 4u32.into()),
        ("attention.key_length", 6u32.into()),
        ("attention.value_length", 4u32.into()),
        ("rope.dimension_count", 2u32.into()),
        ("rope.freq_base", 10_000f32.into()),
        ("leading_dense_block_count", 1u32.into()),
        ("expert_count", 2u32.into()),
        ("expert_used_count", 1u32.into()),
        ("expert_shared_count", 1u32.into()),
        ("expert_feed_forward_length", 8u32.into()),
        ("expert_weights_scale", 1f32.into()),
    ];
    let attention = |layer: usize| {
        [
            (format!("blk.{layer}.attn_norm"), vec![8]),
            (format!("blk.{layer}.attn_q"), vec![12, 8]),
            (format!("blk.{layer}.attn_kv_a_mqa"), vec![6, 8]),
            (format!("blk.{layer}.attn_kv_a_norm"), vec![4]),
            (format!("blk.{layer}.attn_kv_b"), vec![16, 4]),
            (format!("blk.{layer}.attn_output"), vec![8, 8]),
            (format!("blk.{layer}.ffn_norm"), vec![8]),
        ]
    };
    let attention: Vec<_> = [0, 1].into_iter().flat_map(attention).collect();
    let mut tensors: Vec<(&str, &[usize])> = vec![
        ("token_embd", &[32, 8]),
        ("output_norm", &[8]),
        ("output", &[32, 8]),
        ("blk.0.ffn_gate", &[16, 8]),
        ("blk.0.ffn_up", &[16, 8]),
        ("blk.0.ffn_down", &[8, 16]),
        ("blk.1.ffn_gate_inp", &[2, 8]),
        ("blk.1.ffn_gate_exps", &[2, 8, 8]),
        ("blk.1.ffn_up_exps", &[2, 8, 8]),
        ("blk.1.ffn_down_exps", &[2, 8, 8]),
        ("blk.1.ffn_gate_shexp", &[8, 8]),
        ("blk.1.ffn_up_shexp", &[8, 8]),
        ("blk.1.ffn_down_shexp", &[8, 8]),
    ];
    tensors.extend(attention.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())));
    model("deepseek2", keys, &tensors)
}

fn bert() -> Vec<u8> {
    let keys = [
        ("context_length", 16u32.into()),
        ("embedding_length", 8u32.into()),
        ("block_count", 1u32.into()),
        ("feed_forward_length", 16u32.into()),
        ("attention.head_count", 2u32.into()),
        ("attention.layer_norm_epsilon", 1e-12f32.into()),
        ("attention.causal", false.into()),
        ("pooling_type", 1u32.into()),
    ];
    let matrices: [(&str, &[usize]); 6] = [
        ("blk.0.attn_q", &[8, 8]),
        ("blk.0.attn_k", &[8, 8]),
        ("blk.0.attn_v", &[8, 8]),
        ("blk.0.attn_output", &[8, 8]),
        ("blk.0.ffn_up", &[16, 8]),
        ("blk.0.ffn_down", &[8, 16]),
    ];
    let norms = ["token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"];
    let mut tensors: Vec<(&str, &[usize])> =
        vec![("token_embd", &[32, 8]), ("position_embd", &[16, 8]), ("token_types", &[2, 8])];
    tensors.extend(matrices);
    tensors.extend(norms.map(|norm| (norm, &[8][..])));
    let names = matrices.map(|(name, _)| name).into_iter().chain(norms);
    let biases: Vec<_> = names.map(|name| format!("{name}.bias")).collect();
    let widths = matrices.map(|(_, shape)| &shape[..1]).into_iter().chain([&[8][..]; 3]);
    tensors.extend(biases.iter().map(String::as_str).zip(widths));
    model("bert", keys, &tensors)
}
