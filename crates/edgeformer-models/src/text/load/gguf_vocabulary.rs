//! The vocabulary of a GGUF file.

use crate::Result;
use crate::gguf::Metadata;
use crate::text::vocabulary::{Kind, Vocabulary};
use crate::text::vocabulary_builder::VocabularyBuilder;

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";

/// All tokens with their types.
pub(super) fn vocabulary(metadata: &Metadata) -> Result<Vocabulary> {
    let tokens = metadata.need(TOKENS, Metadata::str_array)?;
    let types = metadata.i32_array(TYPES)?;
    if let Some(types) = &types {
        same_length(metadata, TYPES, types.len(), tokens.len())?;
    }
    let bytes = tokens.clone().map(str::len).sum();
    let mut builder = VocabularyBuilder::with_capacity(tokens.len(), bytes);
    for (id, piece) in tokens.enumerate() {
        let kind = match types.as_ref().map_or(1, |types| types[id]) {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            other => {
                let problem = format!("type {other} of token {id} is unknown: 1 to 6 are known");
                return Err(metadata.error(TYPES, problem));
            }
        };
        builder.push(piece, kind).map_err(|e| metadata.error(TOKENS, e))?;
    }
    builder.build().map_err(|e| metadata.error(TOKENS, e))
}

/// Every list has an entry a token.
pub(super) fn same_length(metadata: &Metadata, key: &str, len: usize, tokens: usize) -> Result<()> {
    if len == tokens {
        return Ok(());
    }
    let problem = format!("has {len} entries for {tokens} tokens: the file is damaged");
    Err(metadata.error(key, problem))
}

/// The token of a key, which must be one of the vocabulary.
pub(super) fn token(
    metadata: &Metadata,
    vocabulary: &Vocabulary,
    key: &str,
) -> Result<Option<u32>> {
    let id = metadata.u32(key)?;
    match id.filter(|id| vocabulary.kind(*id) == Kind::Absent) {
        Some(id) => {
            let problem = format!("is {id}, past the {} tokens", vocabulary.len());
            Err(metadata.error(key, problem))
        }
        None => Ok(id),
    }
}
