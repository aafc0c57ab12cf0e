//! Tokenizers as files hold them: the keys of a GGUF file, and `tokenizer.json`.

mod folder;
mod gguf;
mod json;
mod patterns;
mod scores;

use crate::gguf::MetadataValue;

/// Keys of a GGUF file and their values.
pub(crate) type TokenizerKeys = Vec<(String, MetadataValue<'static>)>;
