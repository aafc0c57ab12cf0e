//! Adapters of `peft` merged into the fixtures of every family, compared with the formula over
//! Hugging Face's own tensors: names, rows that GGUF moves, transposed weights, experts and
//! up-projections in halves all have to come out right.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_core::{Adapter, Tensor};
use edgeformer_models::adapter::AdapterFile;
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::safetensors::{Safetensors, write_safetensors};
use edgeformer_models::{OpenOptions, open_with};
use edgeformer_quantize::merge::{Formats, merge};
use tempfile::TempDir;

const FAMILIES: [&str; 14] = [
    "bert",
    "deepseek-v2-mla",
    "deepseek-v2-mla-moe",
    "deepseek-v3-mla-moe",
    "gemma2",
    "gemma3",
    "gpt2",
    "llama-gqa",
    "mistral-sliding-window",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3-moe",
    "vit",
];
const RANK: usize = 3;
const SCALE: f32 = 2.0;

/// What a tensor of the folder is to an adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    /// `[in, out]`.
    Conv1d,
    Embedding,
}

/// A pair for a tensor, as a folder of `peft` has it.
struct Pair {
    module: String,
    kind: Kind,
    a: Tensor,
    b: Tensor,
}

fn matrix(shape: [usize; 2], seed: usize) -> Tensor {
    let values: Vec<f32> = (0..shape[0] * shape[1])
        .map(|i| ((i * 7919 + seed * 104_729) % 211) as f32 / 400.0 - 0.25)
        .collect();
    Tensor::from_f32(shape, &values).unwrap()
}

fn kind(tensors: &Safetensors, name: &str) -> Option<Kind> {
    let is_untied = tensors.info("lm_head.weight").is_some();
    match name {
        "model.embed_tokens.weight" => is_untied.then_some(Kind::Embedding),
        _ if ["embed", "wte", "wpe", "pooler"].iter().any(|part| name.contains(part)) => None,
        _ if [".c_attn.", ".c_proj.", ".c_fc."].iter().any(|part| name.contains(part)) => {
            Some(Kind::Conv1d)
        }
        _ => Some(Kind::Linear),
    }
}

impl Pair {
    fn of(tensors: &Safetensors, name: &str) -> Option<Self> {
        let &[rows, columns] = tensors.info(name)?.shape else { return None };
        let module = name.strip_suffix(".weight")?.to_owned();
        let kind = kind(tensors, name)?;
        let [out, input] = match kind {
            Kind::Linear => [rows, columns],
            Kind::Conv1d | Kind::Embedding => [columns, rows],
        };
        let seed = name.bytes().map(usize::from).sum();
        let (a, b) = (matrix([RANK, input], seed), matrix([out, RANK], seed + 1));
        Some(Self { module, kind, a, b })
    }

    fn named(&self) -> [(String, Tensor); 2] {
        let endings = match self.kind {
            Kind::Embedding => ["lora_embedding_A", "lora_embedding_B"],
            _ => ["lora_A.weight", "lora_B.weight"],
        };
        let name = |ending: &str| format!("base_model.model.{}.{ending}", self.module);
        [(name(endings[0]), self.a.clone()), (name(endings[1]), self.b.clone())]
    }

    /// The tensor with the pair's product added.
    fn added(&self, weight: &Tensor) -> Vec<f32> {
        let (a, b, columns) = (self.a.to_f32(), self.b.to_f32(), weight.row_len());
        let input = self.a.row_len();
        let product = |out: usize, column: usize| -> f32 {
            (0..RANK).map(|k| b[out * RANK + k] * a[k * input + column]).sum::<f32>() * SCALE
        };
        let values = weight.to_f32();
        let sum = |(at, value): (usize, &f32)| match self.kind {
            Kind::Linear => value + product(at / columns, at % columns),
            Kind::Conv1d | Kind::Embedding => value + product(at % columns, at / columns),
        };
        values.iter().enumerate().map(sum).collect()
    }
}

fn write_folder(pairs: &[Pair], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let alpha = RANK as f32 * SCALE;
    let config = format!(r#"{{"peft_type": "LORA", "r": {RANK}, "lora_alpha": {alpha}}}"#);
    fs::write(folder.join("adapter_config.json"), config).unwrap();
    let tensors: Vec<_> = pairs.iter().flat_map(Pair::named).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_safetensors(&folder.join("adapter_model.safetensors"), &tensors).unwrap();
}

fn adapter(folder: &Path, model: &Path, checkpoint: &Checkpoint) -> Adapter {
    let file = open_with(model, &OpenOptions { tokenizer: false }).unwrap();
    let adapter = AdapterFile::open(folder).unwrap();
    adapter.for_checkpoint(&file, checkpoint).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_tensor_becomes_what_the_formula_says() {
    for family in FAMILIES {
        let Some(folder) = shared(&format!("fixtures/hf/{family}")) else { return };
        let temporary = TempDir::new().unwrap();
        let at = |name: &str| temporary.path().join(name);
        let before = Safetensors::open(&folder).unwrap();
        let mut pairs: Vec<Pair> =
            before.names().filter_map(|name| Pair::of(&before, name)).collect();
        // Experts that have no adapter stay as they are.
        pairs.retain(|pair| !pair.module.contains("experts.1."));
        write_folder(&pairs, &at("adapter"));

        let checkpoint = Checkpoint::open(&folder).unwrap();
        let adapter = adapter(&at("adapter"), &folder, &checkpoint);
        let merged = merge(&checkpoint, &[adapter], Formats::Own, 2)
            .unwrap_or_else(|error| panic!("{family}: {error}"));
        let merged = merged.to_hf(OutType::F32).unwrap();
        merged.write(&at("merged"), &mut |_, _| Ok(())).unwrap();

        let after = Safetensors::open(&at("merged")).unwrap();
        let mut changed = 0;
        for name in before.names().filter(|name| after.info(name).is_some()) {
            let (old, new) = (before.tensor(name).unwrap(), after.tensor(name).unwrap());
            let pair = pairs.iter().find(|pair| format!("{}.weight", pair.module) == name);
            let expected = pair.map_or_else(|| old.to_f32(), |pair| pair.added(&old));
            changed += usize::from(pair.is_some());
            let near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-5;
            assert!(new.to_f32().iter().zip(&expected).all(near), "{family}: {name}");
        }
        assert_eq!(changed, pairs.len(), "{family}");
    }
}

#[test]
fn a_table_that_the_head_shares_is_refused() {
    let Some(folder) = shared("fixtures/hf/gemma2") else { return };
    let temporary = TempDir::new().unwrap();
    let tensors = Safetensors::open(&folder).unwrap();
    let name = "model.embed_tokens.weight";
    let &[rows, columns] = tensors.info(name).unwrap().shape else { panic!("a table") };
    let pair = Pair {
        module: "model.embed_tokens".into(),
        kind: Kind::Embedding,
        a: matrix([RANK, rows], 1),
        b: matrix([columns, RANK], 2),
    };
    write_folder(&[pair], temporary.path());
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let adapter = adapter(temporary.path(), &folder, &checkpoint);
    let error = merge(&checkpoint, &[adapter], Formats::Own, 1).unwrap_err();
    assert!(error.to_string().contains("the model's head is the same table"), "{error}");
}
