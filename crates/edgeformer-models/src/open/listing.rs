//! What `inspect` prints: metadata and tensors as the files have them.

use super::{ModelFile, SourceKind};
use crate::gguf::MetadataValue;

/// A tensor as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorLine {
    /// The file's name for it.
    pub name: String,
    /// The type of its elements: `q4_k`, `f32`, `i64`.
    pub format: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes that it takes.
    pub bytes: usize,
}

/// Longest value that is listed whole.
const SHOWN: usize = 200;

impl ModelFile {
    /// Keys and values that the files state, long values cut short.
    pub fn metadata(&self) -> Vec<(String, String)> {
        match &self.source.kind {
            SourceKind::Gguf(gguf) => gguf
                .metadata()
                .iter()
                .map(|(key, value)| (key.to_owned(), shortened(shown(&value))))
                .collect(),
            SourceKind::HuggingFace { config, .. } => {
                config.iter().map(|(key, value)| (key.clone(), shortened(value.clone()))).collect()
            }
        }
    }

    /// The tensors of the files, in their order.
    pub fn tensors(&self) -> Vec<TensorLine> {
        match &self.source.kind {
            SourceKind::Gguf(gguf) => gguf
                .tensors()
                .map(|info| TensorLine {
                    name: info.name().to_owned(),
                    format: info.format().to_string(),
                    shape: info.shape().to_vec(),
                    bytes: info.range().len(),
                })
                .collect(),
            SourceKind::HuggingFace { tensors, .. } => tensors
                .names()
                .filter_map(|name| Some((name, tensors.info(name)?)))
                .map(|(name, info)| TensorLine {
                    name: name.to_owned(),
                    format: info.dtype.name().to_ascii_lowercase(),
                    shape: info.shape.to_vec(),
                    bytes: info.byte_len,
                })
                .collect(),
        }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Elements of an array that are listed.
const LISTED: usize = 8;

/// A value as people write it: an array as its length and first elements.
fn shown(value: &MetadataValue<'_>) -> String {
    if let Some(array) = value.as_array() {
        let first: Vec<String> = array.iter().take(LISTED).map(|element| shown(&element)).collect();
        let more = if array.len() > LISTED { ", …" } else { "" };
        return format!("{} of [{}{more}]", array.len(), first.join(", "));
    }
    let text = value.as_str().map(str::to_owned);
    let text = text.or_else(|| value.as_bool().map(|flag| flag.to_string()));
    let text = text.or_else(|| value.as_integer().map(|number| number.to_string()));
    let text = text.or_else(|| value.as_f32().map(|number| number.to_string()));
    text.unwrap_or_else(|| value.describe())
}
