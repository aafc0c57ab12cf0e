//! Folders of every family, made from small configurations: to GGUF and back.

use std::path::Path;

use serde_json::{Value, json};

use super::{Checkpoint, OutType};
use crate::gguf::Gguf;
use crate::hf_config::tests::configs::{self, with};
use crate::hf_config::tests::folders::Folder;
use crate::hyper::Hyper;
use crate::safetensors::Safetensors;

/// The folder that a folder becomes on its way through a GGUF file.
fn there_and_back(folder: &Path, to: &Path) {
    let file = to.with_extension("gguf");
    Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}")).write_gguf(&file).unwrap();
    let back = Checkpoint::open(&file).unwrap().to_hf(OutType::Auto);
    back.unwrap_or_else(|error| panic!("{error}")).write(to, &mut |_, _| Ok(())).unwrap();
}

fn check(name: &str, config: &Value) {
    check_folder(name, &Folder::of(config), config);
}

fn check_folder(name: &str, folder: &Folder, config: &Value) {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("hf");
    there_and_back(folder.path(), &path);
    let hyper = |config: &Value| configs::hyper(config).unwrap();
    let read: Value =
        serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
    let (before, after) = (hyper(config), hyper(&read));
    assert_eq!(super::from_hf::difference(&before, &after), None, "{name}");
    let (before, after) =
        (Safetensors::open(folder.path()).unwrap(), Safetensors::open(&path).unwrap());
    assert_eq!(before.names().count(), after.names().count(), "{name}");
    for tensor in before.names() {
        let (a, b) = (before.tensor(tensor).unwrap(), after.tensor(tensor).unwrap());
        assert_eq!((a.shape(), a.format()), (b.shape(), b.format()), "{name}: {tensor}");
        if !name.starts_with("gemma") || !tensor.ends_with("norm.weight") {
            assert_eq!(a.bytes(), b.bytes(), "{name}: {tensor}");
        }
    }
}

/// Both forms of rotary parameters, every scaling, windows of every kind, every routing.
#[test]
fn every_family_comes_back() {
    for (name, config) in configs::all() {
        let config = match name {
            "qwen3-moe" => with(config, json!({ "mlp_only_layers": [] })),
            // Transformers knows no other epsilon of latents than this one.
            "deepseek-v2" | "deepseek-v3" => with(config, json!({ "rms_norm_eps": 1e-6 })),
            _ => config,
        };
        check(name, &config);
    }
}

#[test]
fn unusual_members_of_families_come_back() {
    let plain = json!({ "rope_scaling": null, "tie_word_embeddings": true });
    let biased = json!({ "attention_bias": true, "mlp_bias": true });
    let partial = json!({ "head_dim": 16, "partial_rotary_factor": 0.5, "rope_scaling": null });
    let no_window = json!({ "sliding_window": null });
    let layers = json!({ "layer_types": ["full_attention", "sliding_attention"] });
    let oblong = json!({ "image_size": [16, 32], "qkv_bias": false });
    for (name, config) in [
        ("llama, tied", with(configs::llama(), plain)),
        ("llama, with biases", with(configs::llama(), biased)),
        ("llama, half rotated", with(configs::llama(), partial)),
        ("mistral without a window", with(configs::mistral(), no_window)),
        ("gemma2, other layers", with(configs::gemma2(), layers.clone())),
        ("mistral, other layers", with(configs::mistral(), layers)),
        (
            "gpt2, wide",
            with(configs::gpt2(), json!({ "n_inner": 40, "tie_word_embeddings": false })),
        ),
        ("vit, oblong", with(configs::vit(), oblong)),
    ] {
        check(name, &config);
    }
}

/// The bare model has no prefix: it is a part in a classifier only.
#[test]
fn a_vit_without_classes_comes_back() {
    let bare = json!({ "architectures": ["ViTModel"], "id2label": null });
    let config = with(configs::vit(), bare);
    check_folder("vit", &Folder::of(&config).renamed("vit.", ""), &config);
}

#[test]
fn wrong_keys_of_image_encoders_are_told() {
    use crate::gguf::{MetadataArray, MetadataValue};
    let folder = Folder::of(&configs::vit());
    let told = |key: &str, value: MetadataValue<'static>| {
        let mut made = Checkpoint::open(folder.path()).unwrap();
        made.set(key, value);
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("vit.gguf");
        made.write_gguf(&path).unwrap();
        let error = crate::open(&path).unwrap_err().to_string();
        error.split("vit.gguf: ").nth(1).unwrap().to_owned()
    };
    let refusals = [
        told("vit.activation", "cube".to_owned().into()),
        told("clip.vision.attention.head_count", 3u32.into()),
        told("vit.patch_size", [0u32, 8].as_slice().into()),
        told("vit.labels", MetadataArray::strings(["cat"]).into()),
        told("clip.vision.block_count", 9u32.into()),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    key "vit.activation": is "cube", an unknown function; known are silu, gelu, gelu_new, gelu_pytorch_tanh, relu, sigmoid, tanh
    key "clip.vision.attention.head_count": is 3, which does not divide the width 32
    key "vit.patch_size": must be a height and a width from 1 to 16384
    key "vit.labels": has 1 names for 3 classes
    tensor "v.blk.8.ln1.weight": is missing: vit models need it; fetch or convert the file again
    "#);
}

/// What is stated otherwise than in the file comes back in the usual form.
#[test]
fn rows_that_rotate_in_halves_are_paired() {
    let halves =
        with(configs::deepseek_v3(), json!({ "rope_interleave": false, "rms_norm_eps": 1e-6 }));
    let folder = Folder::of(&halves);
    let temporary = tempfile::tempdir().unwrap();
    there_and_back(folder.path(), &temporary.path().join("hf"));
    let gguf = Gguf::open(&temporary.path().join("hf.gguf")).unwrap();
    let hyper = crate::gguf_model::hyper(gguf.metadata(), &gguf).unwrap();
    let Hyper::Decoder(decoder) = hyper else { panic!("no decoder") };
    let layout = decoder.rotary.unwrap().layout;
    assert_eq!(layout, edgeformer_core::graph::RopeLayout::Interleaved);
}

/// Files of DeepSeek from before llama.cpp split the up-projection.
#[test]
fn older_files_become_folders_too() {
    let config = with(configs::deepseek_v2(), json!({ "rms_norm_eps": 1e-6 }));
    let folder = Folder::of(&config);
    let made = Checkpoint::open(folder.path()).unwrap();
    let mut older = made.clone();
    let whole = made.to_hf(OutType::Auto).unwrap();
    for layer in 0..2 {
        let gguf = |name: &str| format!("blk.{layer}.{name}.weight");
        older.tensors.retain(|tensor| {
            ![gguf("attn_k_b"), gguf("attn_v_b")].iter().any(|name| name == tensor.name())
        });
        let name = format!("model.layers.{layer}.self_attn.kv_b_proj.weight");
        let up = whole.tensors().iter().find(|tensor| tensor.name() == name).unwrap();
        older.tensors.push(super::LazyTensor::ready(gguf("attn_kv_b"), up.load().unwrap()));
    }
    let again = older.to_hf(OutType::Auto).unwrap();
    for (a, b) in whole.tensors().iter().zip(again.tensors()) {
        assert_eq!((a.name(), a.load().unwrap().bytes()), (b.name(), b.load().unwrap().bytes()));
    }
}

#[test]
fn divisors_of_llama3_are_recognised_without_our_key() {
    let scaling = json!({
        "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    // Wide enough heads for a wave as long as the original context.
    let config = with(configs::llama(), json!({ "head_dim": 64, "rope_scaling": scaling }));
    let folder = Folder::of(&config);
    let mut foreign = Checkpoint::open(folder.path()).unwrap();
    foreign.unset("edgeformer.rope.llama3");
    let made = foreign.to_hf(OutType::Auto).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    made.write(&temporary.path().join("hf"), &mut |_, _| Ok(())).unwrap();
    let read = std::fs::read(temporary.path().join("hf/config.json")).unwrap();
    let read: Value = serde_json::from_slice(&read).unwrap();
    assert_eq!(configs::hyper(&read).unwrap(), configs::hyper(&config).unwrap());
}
