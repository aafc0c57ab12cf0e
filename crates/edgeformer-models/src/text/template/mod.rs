//! Chat templates: from messages to the prompt a model was trained on.

mod functions;
mod limit;
mod source;
mod variables;

#[cfg(test)]
mod tests;

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error as TemplateError, ErrorKind, Value};

use self::limit::Limited;
pub use self::variables::Variables;
use super::Tokenizer;
use super::load::TemplateFile;
use crate::gguf::Gguf;
use crate::{Error, Result};

/// Steps a template may take, plus one for every byte of the messages. The longest known
/// templates take some thousands for a message.
const STEPS: u64 = 1_000_000;
/// Bytes a template may print, plus sixteen for every byte of the messages.
const PRINTED: usize = 1 << 20;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A model's chat template, in the dialect of Jinja that Hugging Face's templates are written in.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

/// Bytes of stack of the thread that renders: enough for values nested as deep as the steps
/// allow, which are printed and dropped by recursion. Only what is used becomes memory.
const STACK: usize = 256 << 20;

const NAME: &str = "chat template";

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("bos_token", &self.bos_token)
            .field("eos_token", &self.eos_token)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// If its syntax is wrong, with the line.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(describe)?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        functions::add(&mut environment);
        let source = source::without_generation_marks(source);
        environment.add_template_owned(NAME, source).map_err(describe)?;
        Ok(Self { environment, bos_token: bos_token.to_owned(), eos_token: eos_token.to_owned() })
    }

    /// The template of a GGUF file, if it has one.
    ///
    /// # Errors
    /// If the template's syntax is wrong.
    pub fn from_gguf(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let key = "tokenizer.chat_template";
        let Some(source) = gguf.metadata().str(key)? else { return Ok(None) };
        let template = Self::with_tokenizer(source, tokenizer);
        template.map(Some).map_err(|error| gguf.metadata().error(key, error.to_string()))
    }

    /// The template of a Hugging Face folder, if it has one: `chat_template.jinja`, or the
    /// `chat_template` of `tokenizer_config.json` (of several with names, the one named
    /// `default`).
    ///
    /// # Errors
    /// If a file cannot be read, or the template's syntax is wrong.
    pub fn from_folder(folder: &Path, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let Some(TemplateFile { path, source }) = TemplateFile::find(folder)? else {
            return Ok(None);
        };
        let template = Self::with_tokenizer(&source, tokenizer);
        template.map(Some).map_err(|error| Error::format(&path, NAME, error.to_string()))
    }

    fn with_tokenizer(source: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let piece = |id: Option<u32>| id.and_then(|id| tokenizer.piece(id)).unwrap_or_default();
        Self::new(source, piece(tokenizer.bos()), piece(tokenizer.eos()))
    }

    /// The prompt for these messages. With `add_generation_prompt` it ends where the model's
    /// answer begins. Encode it with `parse_special` and without adding special tokens: most
    /// templates write the beginning mark themselves.
    ///
    /// # Errors
    /// What the template itself refuses (roles out of order, a system message where the model
    /// knows none), and a template that runs or prints without end.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &Variables,
    ) -> Result<String> {
        std::thread::scope(|scope| {
            let render = || self.render_here(messages, add_generation_prompt, variables);
            let thread = std::thread::Builder::new().name(NAME.into()).stack_size(STACK);
            let thread = thread.spawn_scoped(scope, render).map_err(|error| {
                Error::Text(format!("the chat template has no thread to run on: {error}"))
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn render_here(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        variables: &Variables,
    ) -> Result<String> {
        let bytes: usize = messages.iter().map(|m| m.role.len() + m.content.len()).sum();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(STEPS + bytes as u64));
        let template = environment.get_template(NAME).map_err(describe)?;
        let context = variables.context(
            messages,
            add_generation_prompt,
            [
                ("bos_token", Value::from(self.bos_token.as_str())),
                ("eos_token", Value::from(self.eos_token.as_str())),
            ],
        );
        let mut text = Limited::new(PRINTED + 16 * bytes);
        match template.render_captured_to(context, &mut text) {
            Ok(_) => text.into_string(),
            Err(_) if text.is_full() => Err(Error::Text(format!(
                "the chat template prints without end: stopped at {} bytes",
                text.limit()
            ))),
            Err(error) => Err(describe(error)),
        }
    }
}

/// A template's error in one line.
fn describe(error: TemplateError) -> Error {
    let line = error.line().map(|line| format!(" (line {line} of the chat template)"));
    let line = line.unwrap_or_default();
    let refused = std::error::Error::source(&error).is_some_and(|e| e.is::<functions::Refusal>());
    let problem = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            format!("the chat template runs without end: stopped after {STEPS} steps")
        }
        (_, Some(detail)) if refused => format!("the chat template refuses: {detail}"),
        (kind, Some(detail)) => format!("the chat template fails: {kind}: {detail}{line}"),
        (kind, None) => format!("the chat template fails: {kind}{line}"),
    };
    Error::Text(problem.replace(['\n', '\r'], " "))
}
