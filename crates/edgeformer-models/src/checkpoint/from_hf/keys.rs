//! Keys in the making.

use crate::gguf::MetadataValue;
use crate::hyper::Family;

/// Collects keys, in the order in which they are written.
pub(super) struct Writer {
    pub metadata: Vec<(String, MetadataValue<'static>)>,
    architecture: &'static str,
}

impl Writer {
    /// No keys but the architecture.
    pub fn new(family: Family) -> Self {
        let architecture = architecture(family);
        let mut writer = Self { metadata: Vec::new(), architecture };
        writer.set("general.architecture", architecture.to_owned());
        writer
    }

    /// Adds a key.
    pub fn set(&mut self, key: &str, value: impl Into<MetadataValue<'static>>) {
        self.metadata.push((key.into(), value.into()));
    }

    /// Adds a key of the architecture.
    pub fn own(&mut self, key: &str, value: impl Into<MetadataValue<'static>>) {
        self.metadata.push((format!("{}.{key}", self.architecture), value.into()));
    }

    /// Adds a size of the architecture. Sizes are at most 2²⁸ in whatever is read.
    pub fn size(&mut self, key: &str, size: usize) {
        self.own(key, size as u32);
    }

    /// Adds a size of the architecture that may be absent.
    pub fn optional_size(&mut self, key: &str, size: Option<usize>) {
        if let Some(size) = size {
            self.size(key, size);
        }
    }
}

/// llama.cpp's name of a family.
pub(crate) fn architecture(family: Family) -> &'static str {
    match family {
        Family::Llama | Family::Mistral => "llama",
        Family::Qwen2 => "qwen2",
        Family::Qwen3 => "qwen3",
        Family::Qwen3Moe => "qwen3moe",
        Family::Gemma2 => "gemma2",
        Family::Gemma3 => "gemma3",
        Family::Phi3 => "phi3",
        Family::Gpt2 => "gpt2",
        Family::DeepseekV2 | Family::DeepseekV3 => "deepseek2",
        Family::Bert => "bert",
        Family::Vit => "vit",
    }
}
