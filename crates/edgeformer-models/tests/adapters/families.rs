//! Adapters of every family's fixture, between a folder and the GGUF file that is made of it.

use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_gguf, write_peft};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::{ModelFile, hyper::Family};
use tempfile::TempDir;

use super::{adapter, assert_same, linear, open, pair};

const FAMILIES: [&str; 15] = [
    "bert",
    "deepseek-v2-mla",
    "deepseek-v2-mla-moe",
    "deepseek-v3-mla-moe",
    "gemma2",
    "gemma3",
    "gpt2",
    "llama-gqa",
    "llama3-rope-scaling",
    "mistral-sliding-window",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3-moe",
    "vit",
];

/// The weights of the model that peft has modules for: not the convolution of patches.
fn adaptable(file: &ModelFile) -> Vec<&str> {
    let names = linear(&file.model.graph).into_iter();
    names.filter(|name| !name.starts_with("v.patch_embd")).collect()
}

fn gguf_of(folder: &Path, to: &Path) -> ModelFile {
    Checkpoint::open(folder).unwrap().write_gguf(to).unwrap();
    open(to)
}

#[test]
fn an_adapter_goes_with_the_model_from_a_folder_to_a_file_and_back() {
    for family in FAMILIES {
        let Some(folder) = shared(&format!("fixtures/hf/{family}")) else { return };
        let temporary = TempDir::new().unwrap();
        let at = |name: &str| temporary.path().join(name);
        let (hf, gguf) = (open(&folder), gguf_of(&folder, &at("model.gguf")));
        let graph = &hf.model.graph;
        let pairs =
            adaptable(&hf).into_iter().map(|name| (name.to_owned(), pair(graph, name, 3, 1.5)));
        let made = adapter(pairs);

        // Written for one, read for both, in both formats.
        write_peft(&made, &hf, &at("peft"), &PeftOptions::default()).unwrap();
        write_gguf(&made, &hf, &at("lora.gguf")).unwrap();
        let [peft, lora] = ["peft", "lora.gguf"].map(|name| AdapterFile::open(&at(name)).unwrap());
        assert_same(&made, &peft.for_model(&hf).unwrap(), 0.0);
        assert_same(&made, &lora.for_model(&hf).unwrap(), 1e-6);
        let moved = lora.for_model(&gguf).unwrap();
        assert_same(&moved, &peft.for_model(&gguf).unwrap(), 1e-6);
        gguf.model.with_adapter(&moved).unwrap();

        // From the file back.
        write_peft(&moved, &gguf, &at("again"), &PeftOptions::default()).unwrap();
        let again = AdapterFile::open(&at("again")).unwrap();
        assert_same(&made, &again.for_model(&hf).unwrap(), 1e-6);

        let rotates = matches!(hf.hyper.family(), Family::Llama | Family::Mistral);
        let q = "blk.0.attn_q.weight";
        let stays = made.pairs.get(q).is_none_or(|pair| pair.b.bytes() == moved.pairs[q].b.bytes());
        assert_eq!(stays, !rotates, "{family}: rows of queries");
    }
}
