//! Where a Hugging Face folder keeps its chat template.

use std::path::{Path, PathBuf};

use super::config::Config;
use super::json::{parse, read};
use crate::Result;

/// A template and the file it comes from.
pub(in crate::text) struct TemplateFile {
    pub path: PathBuf,
    pub source: String,
}

impl TemplateFile {
    /// Looks in the places that `transformers` writes to, the newer first.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("chat_template.jinja");
        if path.is_file() {
            let source = String::from_utf8_lossy(&read(&path)?).into_owned();
            return Ok(Some(Self { path, source }));
        }
        for name in ["chat_template.json", "tokenizer_config.json"] {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let config: Config = parse(&read(&path)?, &path)?;
            let source = config.chat_template.as_ref().and_then(|t| t.default_template());
            if let Some(source) = source {
                return Ok(Some(Self { source: source.to_owned(), path }));
            }
        }
        Ok(None)
    }
}
