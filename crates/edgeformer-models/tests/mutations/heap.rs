//! What a large vocabulary costs.

use std::collections::HashSet;

use bytes::Bytes;
use edgeformer_models::gguf::{Gguf, GgufWriter, MetadataArray};
use edgeformer_models::text::Tokenizer;

use crate::allocator::{held_by, peak_of};
use crate::containers::written;
use crate::mutate::Choices;

/// Tokens of Qwen2, byte-level.
const TOKENS: usize = 151_936;
/// Tokens of Qwen2 that nothing merges into.
const UNUSED: usize = 293;

/// A byte-level vocabulary of that size: the letters of all bytes, and merges of random tokens up
/// to 12 letters. The bytes of its sections come with it.
fn large() -> (Bytes, usize) {
    let letters = (0x21..0x7F).chain(0xA1..0xAD).chain(0xAE..0x144).filter_map(char::from_u32);
    let mut tokens: Vec<String> = letters.map(String::from).collect();
    assert_eq!(tokens.len(), 256);
    let mut known: HashSet<String> = tokens.iter().cloned().collect();
    let mut merges = Vec::new();
    let mut choices = Choices(1);
    while tokens.len() < TOKENS - UNUSED {
        let left = &tokens[choices.below(tokens.len())];
        let right = &tokens[choices.below(tokens.len().min(5000))];
        let merged = format!("{left}{right}");
        if merged.chars().count() <= 12 && known.insert(merged.clone()) {
            merges.push(format!("{left} {right}"));
            tokens.push(merged);
        }
    }
    tokens.extend((0..UNUSED).map(|i| format!("[PAD{i}]")));
    let types: Vec<i32> = (0..TOKENS).map(|i| if i < TOKENS - UNUSED { 1 } else { 5 }).collect();
    let sections = 4 * TOKENS + tokens.iter().chain(&merges).map(|s| 8 + s.len()).sum::<usize>();
    let mut writer = GgufWriter::new();
    writer
        .metadata("tokenizer.ggml.model", "gpt2")
        .metadata("tokenizer.ggml.pre", "qwen2")
        .metadata("tokenizer.ggml.tokens", MetadataArray::strings(&tokens))
        .metadata("tokenizer.ggml.token_type", &types[..])
        .metadata("tokenizer.ggml.merges", MetadataArray::strings(&merges));
    (written(&writer).into(), sections)
}

#[test]
fn a_large_vocabulary_costs_twice_its_sections_at_most() {
    let (file, sections) = large();
    let gguf = Gguf::from_bytes("large.gguf", file).unwrap();
    let open = || held_by(|| Tokenizer::from_gguf(&gguf).unwrap().unwrap());
    let ((tokenizer, held), peak) = peak_of(open);
    assert_eq!(tokenizer.vocabulary_size(), TOKENS);
    println!("{sections} bytes of sections: {held} held, {peak} at most while loading");
    assert!(held <= sections + sections / 2, "{held} of {sections}");
    assert!(peak <= 2 * sections, "{peak} of {sections}");
}
