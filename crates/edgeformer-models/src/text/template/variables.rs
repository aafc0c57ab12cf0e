//! What a template can ask for besides the messages.

use std::collections::BTreeMap;

use minijinja::Value;

use super::Message;
use crate::{Error, Result};

/// Variables of a template, such as `enable_thinking` or `tools`.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a switch.
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.0.insert(name.to_owned(), Value::from(value));
        self
    }

    /// Sets a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), Value::from(value));
        self
    }

    /// Sets what a JSON text says: lists of tools, documents.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn json(mut self, name: &str, json: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(json)
            .map_err(|error| Error::Text(format!("template variable {name:?}: {error}")))?;
        self.0.insert(name.to_owned(), Value::from(minijinja::value::Serde(value)));
        Ok(self)
    }

    /// Everything a template sees. What the caller sets does not hide the messages.
    pub(super) fn context<const N: usize>(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        marks: [(&'static str, Value); N],
    ) -> Value {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                Value::from_pairs([
                    ("role", Value::from(message.role.as_str())),
                    ("content", Value::from(message.content.as_str())),
                ])
            })
            .collect();
        let mut context = self.0.clone();
        context.insert("messages".to_owned(), Value::from(messages));
        context.insert("add_generation_prompt".to_owned(), Value::from(add_generation_prompt));
        for (name, value) in marks {
            context.insert(name.to_owned(), value);
        }
        Value::from(context)
    }
}
