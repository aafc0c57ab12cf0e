//! A tokenizer from `tokenizer.json` and `tokenizer_config.json`.

use std::path::Path;

use serde::Deserialize;
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::build::build;
use super::config::Config;
use super::decoder_file::DecoderFile;
use super::json_model::ModelFile;
use super::marks::around;
use super::patterns;
use crate::text::Tokenizer;
use crate::text::decoder::Decoder;
use crate::text::tokenizer::{AddedTokens, Parts};
use crate::text::vocabulary::Kind;
use crate::{Error, Result};

/// The file, section by section.
#[derive(Deserialize)]
pub(super) struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedFile>,
    #[serde(default, deserialize_with = "patterns::light")]
    normalizer: Option<NormalizerWrapper>,
    #[serde(default, deserialize_with = "patterns::light")]
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    decoder: Option<DecoderFile>,
    model: ModelFile,
}

#[derive(Deserialize)]
pub(super) struct AddedFile {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and, for the names of the marks, its `tokenizer_config.json`.
    pub fn from_json(path: &Path, config: Option<&Path>) -> Result<Self> {
        let config_bytes = config.map(read).transpose()?;
        let config = match (config, &config_bytes) {
            (Some(path), Some(bytes)) => parse(bytes, path)?,
            _ => Config::default(),
        };
        // The file's bytes are gone before anything is built from it.
        let file = parse(&read(path)?, path)?;
        Self::assemble(file, &config, path)
    }

    /// Reads the contents of a `tokenizer.json` and of a `tokenizer_config.json`. `path` names
    /// them in messages.
    pub fn from_json_bytes(json: &[u8], config: Option<&[u8]>, path: &Path) -> Result<Self> {
        let config = config.map(|bytes| parse(bytes, path)).transpose()?.unwrap_or_default();
        Self::assemble(parse(json, path)?, &config, path)
    }

    pub(super) fn assemble(file: TokenizerFile, config: &Config, path: &Path) -> Result<Self> {
        let at = |place: &'static str| {
            move |problem| Error::Format { path: path.into(), place: place.to_owned(), problem }
        };
        let decoder = match &file.decoder {
            Some(decoder) => decoder.decoder().map_err(at("decoder"))?,
            None => Decoder::Words,
        };
        let (vocabulary, algorithm) = build(file.model, &file.added_tokens).map_err(at("model"))?;
        let added = file.added_tokens.into_iter().map(AddedFile::into_token).collect();
        let added =
            AddedTokens::new(added, file.normalizer.as_ref()).map_err(at("added_tokens"))?;
        let (before, after) = around(file.post_processor.as_ref()).map_err(at("post_processor"))?;
        let mut parts = Parts {
            vocabulary,
            algorithm,
            normalizer: file.normalizer,
            pre_tokenizer: file.pre_tokenizer,
            added,
            decoder,
            before,
            after,
            bos: None,
            eos: None,
            path: path.into(),
        };
        parts.apply(config);
        parts.check_marks().map_err(at("post_processor"))?;
        Ok(Self::new(parts))
    }
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })
}

/// Parses JSON; errors say line and column.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], path: &Path) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::Format {
        path: path.into(),
        place: format!("line {}, column {}", error.line(), error.column()),
        problem: without_place(&error.to_string()),
    })
}

fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

impl AddedFile {
    pub fn kind(&self) -> Kind {
        if self.special { Kind::Control } else { Kind::UserDefined }
    }

    fn into_token(self) -> (AddedToken, u32) {
        let token = AddedToken::from(self.content, self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized);
        (token, self.id)
    }
}
