//! What all of it does together: gold files, round trips, properties, bad files.

mod damaged;
mod gold;
mod json_gold;
mod models;
mod properties;

use std::path::PathBuf;

/// The texts of a `.inp` file: each is followed by a line of its own.
pub(super) fn texts(inp: &str) -> Vec<&str> {
    let mut texts: Vec<&str> = inp.split("\n__ggml_vocab_test__\n").collect();
    assert_eq!(texts.pop(), Some(""));
    texts
}

/// The vocabularies of real models that have texts and token ids by llama.cpp.
pub(super) const WITH_GOLD: [&str; 10] = [
    "bert-bge",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gpt-2",
    "llama-spm",
    "mpt",
    "phi-3",
    "refact",
    "starcoder",
];

/// The file of a vocabulary.
pub(super) fn gguf_path(name: &str) -> Option<PathBuf> {
    edgeformer_conformance::shared("fixtures/tokenizers-gguf")
        .map(|folder| folder.join(format!("ggml-vocab-{name}.gguf")))
}
