//! The tokenizer of a folder: to a GGUF file's keys, and from them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{TokenizerKeys, gguf, json};
use crate::gguf::Metadata;
use crate::text::Tokenizer;
use crate::text::load::{Config, TemplateFile};
use crate::text::tokenizer::Parts;
use crate::{Error, Result};

/// Key of a chat template.
const TEMPLATE: &str = "tokenizer.chat_template";

/// The tokenizer's files in a Hugging Face folder.
pub(crate) struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: Value,
    /// `tokenizer_config.json`.
    pub config: Value,
    /// `chat_template.jinja`.
    pub template: Option<String>,
}

impl Tokenizer {
    /// The keys by which a GGUF file of a model with so many tokens holds a folder's tokenizer;
    /// `None` where the folder has none.
    ///
    /// # Errors
    /// If a file is damaged, or GGUF cannot state the tokenizer: it is read back, and must make
    /// the same tokens of texts that tell tokenizers apart.
    pub(crate) fn gguf_keys_of_folder(
        folder: &Path,
        vocabulary: usize,
    ) -> Result<Option<TokenizerKeys>> {
        let Some(tokenizer) = Self::from_folder(folder)? else { return Ok(None) };
        tokenizer.check_vocabulary(vocabulary)?;
        let config = Config::of_folder(folder)?;
        let mut keys = gguf::keys(&tokenizer, &config, vocabulary, folder)?;
        if let Some(template) = TemplateFile::find(folder)? {
            keys.push((TEMPLATE.to_owned(), template.source.into()));
        }
        Ok(Some(keys))
    }

    /// The files of this tokenizer, with the marks and the template that a GGUF file's keys name.
    ///
    /// # Errors
    /// If it is of a kind that is not written.
    pub(crate) fn folder_files(
        &self,
        metadata: &Metadata,
        context: Option<usize>,
    ) -> Result<TokenizerFiles> {
        let parts = self.parts();
        let tokenizer = json::file(parts)
            .map_err(|problem| Error::format(&parts.path, "tokenizer", problem))?;
        let template = metadata.str(TEMPLATE)?.map(str::to_owned);
        let mut config = marks(parts, metadata)?;
        config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        config.insert("clean_up_tokenization_spaces".into(), false.into());
        if let Some(context) = context {
            config.insert("model_max_length".into(), context.into());
        }
        if let Some(template) = &template {
            config.insert("chat_template".into(), template.as_str().into());
        }
        Ok(TokenizerFiles { tokenizer, config: config.into(), template })
    }
}

/// The marks by their names.
fn marks(parts: &Parts, metadata: &Metadata) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    let stated = |name: &str| metadata.u32(&format!("tokenizer.ggml.{name}_token_id"));
    let marks = [
        ("bos_token", parts.bos),
        ("eos_token", parts.eos),
        ("unk_token", stated("unknown")?),
        ("pad_token", stated("padding")?),
        ("cls_token", stated("cls")?),
        ("sep_token", stated("seperator")?),
        ("mask_token", stated("mask")?),
    ];
    for (name, id) in marks {
        let piece = id.map(|id| parts.vocabulary.piece(id)).filter(|piece| !piece.is_empty());
        if let Some(piece) = piece {
            config.insert(name.into(), piece.into());
        }
    }
    for (name, mark, around) in
        [("add_bos_token", parts.bos, &parts.before), ("add_eos_token", parts.eos, &parts.after)]
    {
        if let Some(mark) = mark {
            config.insert(name.into(), json!(around.contains(&mark)));
        }
    }
    Ok(config)
}
