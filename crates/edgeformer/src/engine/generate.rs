use edgeformer_core::{AdapterScales, Config, Graph};
use edgeformer_models::ModelFile;
use edgeformer_models::text::{AddSpecial, Message, Tokenizer, Variables};

use super::SamplingOptions;
use crate::{Error, Result};

/// What an answer continues.
#[derive(Debug, Clone, Copy)]
pub enum Prompt<'a> {
    /// Plain text. The tokens that the model starts with are put before it.
    Text(&'a str),
    /// A conversation, rendered by the model's chat template.
    Chat(&'a [Message]),
    /// Tokens as they are.
    Tokens(&'a [u32]),
}

impl<'a> From<&'a str> for Prompt<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [Message]> for Prompt<'a> {
    fn from(messages: &'a [Message]) -> Self {
        Self::Chat(messages)
    }
}

impl<'a> From<&'a [u32]> for Prompt<'a> {
    fn from(tokens: &'a [u32]) -> Self {
        Self::Tokens(tokens)
    }
}

/// How an answer is generated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerateOptions {
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Tokens of the answer at most; `None` is until the context is full.
    pub max_tokens: Option<usize>,
    /// Texts at which the answer ends; they are not part of it.
    pub stop: Vec<String>,
    /// The answer goes on behind the end of the text: end tokens are never chosen.
    pub ignore_eos: bool,
    /// Which adapters act on prompt and answer; those that are not named do not. `None` is all, as
    /// the engine was opened.
    pub adapters: Option<Vec<AdapterUse>>,
}

/// An adapter in a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdapterUse {
    /// Its place in [`EngineOptions::adapters`](crate::EngineOptions::adapters), from 0.
    pub id: usize,
    /// What its product is multiplied with, in place of the scale that it was opened with.
    pub scale: f32,
}

/// The scales of a graph's adapters in a request.
pub(super) fn scales(graph: &Graph, chosen: Option<&[AdapterUse]>) -> Result<AdapterScales> {
    let Some(chosen) = chosen else { return Ok(AdapterScales::USUAL) };
    let usual = graph.adapter_scales(&AdapterScales::USUAL);
    let mut scales = vec![None; usual.len()];
    for &AdapterUse { id, scale } in chosen {
        match scales.get_mut(id) {
            Some(free @ None) => *free = Some(scale),
            Some(Some(_)) => return Err(Error::Request(format!("adapter {id} is named twice"))),
            None => {
                let known = match usual.len() {
                    0 => "none".into(),
                    count => format!("adapters 0 to {}", count - 1),
                };
                return Err(Error::Request(format!(
                    "there is no adapter {id}: the engine was opened with {known}"
                )));
            }
        }
    }
    let scales: Vec<f32> = scales.into_iter().map(Option::unwrap_or_default).collect();
    // What is asked for in two ways is one choice, whose beginnings are shared.
    if scales == usual {
        return Ok(AdapterScales::USUAL);
    }
    Ok(AdapterScales::new(&scales)?)
}

impl From<&Config> for GenerateOptions {
    fn from(config: &Config) -> Self {
        Self {
            sampling: SamplingOptions::from(config),
            max_tokens: config.max_tokens,
            stop: config.stop.clone(),
            ignore_eos: config.ignore_eos,
            adapters: None,
        }
    }
}

/// The tokens of a prompt.
pub(super) fn encode(file: &ModelFile, prompt: Prompt<'_>) -> Result<Vec<u32>> {
    let tokens = match prompt {
        Prompt::Tokens(tokens) => tokens.to_vec(),
        Prompt::Text("") => {
            return Err(Error::Request("the prompt is empty: give it some text".into()));
        }
        Prompt::Text(text) => tokenizer(file)?.encode(text, AddSpecial::AsModel, true)?,
        Prompt::Chat(messages) => {
            let missing =
                || Error::Request("the model has no chat template: use plain prompts".into());
            let text = file.chat_template.as_ref().ok_or_else(missing)?.render(
                messages,
                true,
                &Variables::new(),
            )?;
            // The template writes the tokens that the model starts with.
            tokenizer(file)?.encode(&text, AddSpecial::Never, true)?
        }
    };
    let vocabulary = file.model.graph.vocabulary();
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => Err(edgeformer_core::Error::Token { token, vocabulary }.into()),
        None if tokens.is_empty() => {
            Err(Error::Request("the prompt has no tokens: give it some text".into()))
        }
        None => Ok(tokens),
    }
}

/// The model's tokenizer.
pub(super) fn tokenizer(file: &ModelFile) -> Result<&Tokenizer> {
    let missing = || Error::Request("the model has no tokenizer: give token ids".into());
    file.tokenizer.as_ref().ok_or_else(missing)
}
