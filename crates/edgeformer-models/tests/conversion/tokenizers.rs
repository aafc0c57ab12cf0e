//! Tokenizers through GGUF and back: the same ids.

use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::gguf::Gguf;
use edgeformer_models::open;
use edgeformer_models::text::{AddSpecial, Tokenizer};

/// The texts that Hugging Face's own library has cut.
fn golden_texts() -> Vec<String> {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../data/ids.json")).unwrap();
    golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().into()).collect()
}

/// A small model whose embedding table has as many rows as a real tokenizer has tokens.
fn with_tokenizer(model: &str, tokenizer: &Path) -> Option<tempfile::TempDir> {
    let (source, folder) = (shared(model)?, tempfile::tempdir().unwrap());
    let vocabulary = Tokenizer::from_folder(tokenizer).unwrap().unwrap().vocabulary_size() + 3;
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(source.join("config.json")).unwrap()).unwrap();
    config["vocab_size"] = vocabulary.into();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    for entry in std::fs::read_dir(tokenizer).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let tensors =
        edgeformer_models::safetensors::Safetensors::open(&source.join("model.safetensors"))
            .unwrap();
    let grown = |name: &str| {
        let tensor = tensors.tensor(name).unwrap();
        let table = ["wte.weight", "word_embeddings.weight"].iter().any(|end| name.ends_with(end));
        if !table {
            return tensor;
        }
        let shape = [vocabulary, tensor.row_len()];
        edgeformer_core::Tensor::from_f32(shape, &vec![0.5; vocabulary * tensor.row_len()]).unwrap()
    };
    let list: Vec<_> = tensors.names().map(|name| (name, grown(name))).collect();
    let list: Vec<_> = list.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let path = folder.path().join("model.safetensors");
    edgeformer_models::safetensors::write_safetensors(&path, &list).unwrap();
    Some(folder)
}

/// Texts without a word above 100 characters: Hugging Face's WordPiece does not know such, to
/// llama.cpp's no word is too long.
fn short(texts: &[String]) -> Vec<String> {
    let short = |text: &&String| !text.split(' ').any(|word| word.chars().count() > 100);
    texts.iter().filter(short).cloned().collect()
}

fn same_ids(name: &str, before: &Tokenizer, after: &Tokenizer, texts: &[String]) {
    for text in texts {
        let ids =
            |tokenizer: &Tokenizer| tokenizer.encode(text, AddSpecial::AsModel, true).unwrap();
        assert_eq!(ids(before), ids(after), "{name}: {text:?}");
        let ids = ids(before);
        let shown = |tokenizer: &Tokenizer| tokenizer.decode(&ids, true).unwrap();
        assert_eq!(shown(before), shown(after), "{name}: {text:?}");
    }
}

#[test]
fn real_tokenizers_survive_the_way_there_and_back() {
    let Some(folder) = shared("fixtures/tokenizers-json") else { return };
    let texts = golden_texts();
    for (name, model, pre) in [
        ("gpt2", "fixtures/hf/gpt2", "gpt-2"),
        ("gpt-neox-20b", "fixtures/hf/gpt2", "gpt-2"),
        ("bert-base-uncased", "fixtures/hf/bert", "default"),
    ] {
        let Some(model) = with_tokenizer(model, &folder.join(name)) else { return };
        let trip = super::RoundTrip::of(model.path(), OutType::Auto);
        let before = Tokenizer::from_folder(model.path()).unwrap().unwrap();
        let gguf = Gguf::open(&trip.gguf).unwrap();
        assert_eq!(gguf.metadata().str("tokenizer.ggml.pre").unwrap(), Some(pre));
        let of_gguf = if name.starts_with("bert") { short(&texts) } else { texts.clone() };
        same_ids(name, &before, &Tokenizer::from_gguf(&gguf).unwrap().unwrap(), &of_gguf);
        same_ids(name, &before, &open(&trip.hf).unwrap().tokenizer.unwrap(), &texts);
    }
}

/// Vocabularies as llama.cpp's own converter wrote them, as a folder's files.
#[test]
fn vocabularies_of_gguf_files_become_tokenizer_json() {
    let Some(folder) = shared("fixtures/tokenizers-gguf") else { return };
    let texts: Vec<String> = golden_texts();
    let short = short(&texts);
    for name in [
        "gpt-2",
        "llama-spm",
        "phi-3",
        "deepseek-llm",
        "deepseek-coder",
        "falcon",
        "bert-bge",
        "refact",
    ] {
        let gguf = Gguf::open(&folder.join(format!("ggml-vocab-{name}.gguf"))).unwrap();
        let before = Tokenizer::from_gguf(&gguf).unwrap().unwrap();
        let (json, config) = Checkpoint::from(&gguf).tokenizer_files().unwrap().unwrap();
        let path = Path::new("tokenizer.json");
        let after = Tokenizer::from_json_bytes(&json, Some(&config), path).unwrap();
        same_ids(name, &before, &after, if name == "bert-bge" { &short } else { &texts });
    }
}
