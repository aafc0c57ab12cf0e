//! `tokenizer_config.json`: the names of the marks and the chat template.

use std::path::Path;

use serde::Deserialize;

use super::json::{parse, read};
use crate::Result;

/// What EdgeFormer reads of the file.
#[derive(Deserialize, Default)]
pub(in crate::text) struct Config {
    pub bos_token: Option<TokenName>,
    pub eos_token: Option<TokenName>,
    pub unk_token: Option<TokenName>,
    pub pad_token: Option<TokenName>,
    pub mask_token: Option<TokenName>,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    pub do_lower_case: Option<bool>,
    pub chat_template: Option<TemplateSource>,
}

impl Config {
    /// The file of a folder; nothing is stated where there is none.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        match path.is_file() {
            true => parse(&read(&path)?, &path),
            false => Ok(Self::default()),
        }
    }
}

/// A token by its text, alone or in an object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::text) enum TokenName {
    Text(String),
    Object { content: String },
}

impl TokenName {
    /// The token's text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// One template, or several with names.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::text) enum TemplateSource {
    One(String),
    Named(Vec<NamedTemplate>),
}

/// One of several templates.
#[derive(Deserialize)]
pub(in crate::text) struct NamedTemplate {
    pub name: String,
    pub template: String,
}

impl TemplateSource {
    /// The template for plain conversations: the one named `default`, or the only one.
    pub fn default_template(&self) -> Option<&str> {
        match self {
            Self::One(template) => Some(template),
            Self::Named(list) => list
                .iter()
                .find(|named| named.name == "default")
                .or(list.first().filter(|_| list.len() == 1))
                .map(|named| named.template.as_str()),
        }
    }
}
