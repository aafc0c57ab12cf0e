//! What a tokenizer will take, told without building it.

use super::{ModelFile, SourceKind};
use crate::gguf::Gguf;

/// What the files of folders hold their vocabularies in.
const VOCABULARIES: [&str; 4] = ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"];

impl ModelFile {
    /// Bytes that the tokenizer of these files takes, about: its pieces, a span and a score of
    /// each, its merges, and hash slots for both; of a GGUF file also the mapped pages that they
    /// are read from. Zero where the files hold none.
    pub fn tokenizer_bytes(&self) -> u64 {
        match &self.source.kind {
            SourceKind::Gguf(gguf) => of_gguf(gguf),
            SourceKind::HuggingFace { .. } => {
                let size = |name: &&str| std::fs::metadata(self.source.path.join(name)).ok();
                // JSON writes a token in twice the bytes that it takes here.
                VOCABULARIES.iter().filter_map(size).map(|file| file.len() / 2).sum()
            }
        }
    }
}

fn of_gguf(gguf: &Gguf) -> u64 {
    let (tokens, pieces) = strings(gguf, "tokenizer.ggml.tokens");
    let (merges, pairs) = strings(gguf, "tokenizer.ggml.merges");
    let metadata = pieces + pairs + 8 * (tokens + merges);
    metadata + pieces + 12 * tokens + slots(tokens) + 12 * merges + slots(merges)
}

/// Hash slots for so many entries: four bytes each, at most three quarters full.
fn slots(entries: u64) -> u64 {
    if entries == 0 { 0 } else { 4 * (entries + entries / 3 + 1).next_power_of_two() }
}

/// How many strings a key has, and their bytes.
fn strings(gguf: &Gguf, key: &str) -> (u64, u64) {
    let list = gguf.metadata().str_array(key).ok().flatten();
    list.into_iter()
        .flatten()
        .fold((0, 0), |(count, bytes), text| (count + 1, bytes + text.len() as u64))
}
