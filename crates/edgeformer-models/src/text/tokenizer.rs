//! The tokenizer: text to token ids and back.

use std::path::PathBuf;
use std::sync::Arc;

use tokenizers::{
    AddedVocabulary, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizer as _,
    PreTokenizerWrapper,
};

use super::algorithm::Algorithm;
use super::decoder::Decoder;
use super::stream::TextStream;
use super::vocabulary::{Kind, Vocabulary};
use crate::{Error, Result};

/// Whether encoding adds the marks that begin and end a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddSpecial {
    /// The tokens of the text alone.
    Never,
    /// What the model was trained with: a beginning mark, an end mark, both or neither.
    AsModel,
}

/// Everything a tokenizer's files say. Never changes, shared by all streams.
pub(super) struct Parts {
    pub vocabulary: Vocabulary,
    pub algorithm: Algorithm,
    pub normalizer: Option<NormalizerWrapper>,
    pub pre_tokenizer: Option<PreTokenizerWrapper>,
    pub added: AddedTokens,
    pub decoder: Decoder,
    /// Tokens before and after a text as the model wants them.
    pub before: Vec<u32>,
    pub after: Vec<u32>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// The file, for messages.
    pub path: PathBuf,
}

/// The tokens that are recognised in a text before its words are looked at.
pub(super) struct AddedTokens {
    /// Words and marks.
    pub all: AddedVocabulary,
    /// Words alone: `<|im_end|>` in a user's text is seven characters and no mark.
    pub words: AddedVocabulary,
}

/// Turns text into the token ids a model reads, and ids into text. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    parts: Arc<Parts>,
    end_tokens: Vec<u32>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("path", &self.parts.path)
            .field("vocabulary_size", &self.vocabulary_size())
            .field("end_tokens", &self.end_tokens)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    pub(super) fn new(parts: Parts) -> Self {
        let mut tokenizer = Self { end_tokens: Vec::new(), parts: Arc::new(parts) };
        tokenizer.end_tokens.extend(tokenizer.parts.eos);
        let marks = super::specials::END_MARKS.iter().filter_map(|mark| tokenizer.token_id(mark));
        let marks: Vec<u32> = marks.filter(|id| tokenizer.is_added(*id)).collect();
        tokenizer.add_end_tokens(&marks);
        tokenizer
    }

    /// What its files say.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The token ids of a text.
    ///
    /// With `parse_special`, marks such as `<|im_end|>` in the text become their tokens: right for
    /// rendered chat templates, wrong for text from outside.
    pub fn encode(&self, text: &str, special: AddSpecial, parse_special: bool) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        if special == AddSpecial::AsModel {
            ids.extend_from_slice(&self.parts.before);
        }
        self.parts.encode(text, parse_special, &mut ids)?;
        if special == AddSpecial::AsModel {
            ids.extend_from_slice(&self.parts.after);
        }
        Ok(ids)
    }

    /// The text of tokens; with `skip_special`, without marks. Bytes that make no character
    /// become U+FFFD. An id outside the vocabulary is an error.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let mut stream = TextStream::new(self.parts.clone(), skip_special);
        let mut text = String::with_capacity(ids.len() * 4);
        for &id in ids {
            if id as usize >= self.vocabulary_size() {
                return Err(Error::Text(format!(
                    "token id {id} is outside the vocabulary of {} tokens",
                    self.vocabulary_size()
                )));
            }
            text.push_str(stream.push(id));
        }
        text.push_str(stream.finish());
        Ok(text)
    }

    /// A stream of text from the beginning of a text on, without marks.
    pub fn stream(&self) -> TextStream {
        TextStream::new(self.parts.clone(), true)
    }

    /// A stream that shows marks such as `<|im_end|>` too.
    pub fn stream_with_special(&self) -> TextStream {
        TextStream::new(self.parts.clone(), false)
    }

    /// A stream that goes on after a prompt: what depends on the text before, such as a space at
    /// its beginning or half a character at its end, comes out as if all were one text.
    pub fn stream_after(&self, prompt: &[u32]) -> TextStream {
        let mut stream = self.stream();
        for &id in prompt {
            stream.push(id);
        }
        stream
    }

    /// The bytes of one token in the middle of a text: perhaps half a character, empty for ids
    /// without a token.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.parts.decoder.token_bytes(&self.parts.vocabulary, id)
    }

    /// A token as its file spells it (`Ġthe`, `▁the`, `<|im_end|>`), if the id has one.
    pub fn piece(&self, id: u32) -> Option<&str> {
        let vocabulary = &self.parts.vocabulary;
        (vocabulary.kind(id) != Kind::Absent).then(|| vocabulary.piece(id))
    }

    /// The id of a token by its spelling in the file.
    pub fn token_id(&self, piece: &str) -> Option<u32> {
        self.parts.vocabulary.id(piece)
    }

    /// One more than the highest token id.
    pub fn vocabulary_size(&self) -> usize {
        self.parts.vocabulary.len()
    }

    /// Whether every token has its row in a model with so many.
    pub fn check_vocabulary(&self, model_vocabulary: usize) -> Result<()> {
        if self.vocabulary_size() <= model_vocabulary {
            return Ok(());
        }
        Err(Error::Format {
            path: self.parts.path.clone(),
            place: "vocabulary".to_owned(),
            problem: format!(
                "has token ids up to {}, but the model knows only {model_vocabulary} tokens: this \
                 tokenizer belongs to another model",
                self.vocabulary_size() - 1
            ),
        })
    }

    /// The mark that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.parts.bos
    }

    /// The mark that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.parts.eos
    }

    /// Every token that ends a generation: the end of the text, of a turn, of a message.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// Adds tokens that end a generation, such as those of a `generation_config.json`.
    pub fn add_end_tokens(&mut self, ids: &[u32]) {
        for &id in ids {
            if !self.end_tokens.contains(&id) {
                self.end_tokens.push(id);
            }
        }
    }

    /// Whether a token is a mark that text for people leaves out.
    pub fn is_control(&self, id: u32) -> bool {
        self.parts.vocabulary.kind(id).is_control()
    }

    fn is_added(&self, id: u32) -> bool {
        matches!(self.parts.vocabulary.kind(id), Kind::Control | Kind::UserDefined)
    }
}

impl Parts {
    fn encode(&self, text: &str, parse_special: bool, ids: &mut Vec<u32>) -> Result<()> {
        let added = if parse_special { &self.added.all } else { &self.added.words };
        let mut words = added.extract_and_normalize(self.normalizer.as_ref(), text);
        if let Some(pre_tokenizer) = &self.pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut words).map_err(|e| Error::Text(e.to_string()))?;
        }
        for (word, _, tokens) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match tokens {
                Some(tokens) => ids.extend(tokens.iter().map(|token| token.id)),
                None => self.algorithm.encode(&self.vocabulary, word, ids)?,
            }
        }
        Ok(())
    }
}
