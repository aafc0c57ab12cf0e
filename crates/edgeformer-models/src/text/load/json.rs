//! A tokenizer from `tokenizer.json` and `tokenizer_config.json`.

use std::path::Path;

use serde::Deserialize;
use tokenizers::models::unigram::Unigram;
use tokenizers::{
    AddedToken, Encoding, NormalizerWrapper, PostProcessor as _, PostProcessorWrapper,
    PreTokenizerWrapper, Token,
};

use super::config::Config;
use super::decoder_file::DecoderFile;
use super::json_model::{ModelFile, VocabFile};
use crate::text::Tokenizer;
use crate::text::algorithm::Algorithm;
use crate::text::bpe::{Bpe, BpeOptions};
use crate::text::decoder::{Decoder, WordMarks};
use crate::text::tokenizer::{AddedTokens, Parts};
use crate::text::vocabulary::{Kind, Problem, Vocabulary, VocabularyBuilder};
use crate::text::wordpiece::WordPiece;
use crate::{Error, Result};

/// The file, section by section.
#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedFile>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    decoder: Option<DecoderFile>,
    model: ModelFile,
}

#[derive(Deserialize)]
struct AddedFile {
    id: u32,
    content: String,
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
        Self::from_json_with(&read(path)?, &config, path)
    }

    /// Reads the contents of a `tokenizer.json` and of a `tokenizer_config.json`. `path` names
    /// them in messages.
    pub fn from_json_bytes(json: &[u8], config: Option<&[u8]>, path: &Path) -> Result<Self> {
        let config = config.map(|bytes| parse(bytes, path)).transpose()?.unwrap_or_default();
        Self::from_json_with(json, &config, path)
    }

    pub(super) fn from_json_with(json: &[u8], config: &Config, path: &Path) -> Result<Self> {
        let file: TokenizerFile = parse(json, path)?;
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
    fn kind(&self) -> Kind {
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

/// The vocabulary with its added tokens, and the algorithm over it.
fn build(
    model: ModelFile,
    added: &[AddedFile],
) -> std::result::Result<(Vocabulary, Algorithm), Problem> {
    let kind = model.kind.clone();
    let kind = kind.as_deref().unwrap_or(match &model.vocab {
        VocabFile::Scores(_) => "Unigram",
        VocabFile::Ids(_) if model.max_input_chars_per_word.is_some() => "WordPiece",
        VocabFile::Ids(_) => "BPE",
    });
    let (mut builder, scores) = match model.vocab {
        VocabFile::Ids(builder) => (builder, None),
        VocabFile::Scores(scores) => (pieces(&scores)?, Some(scores)),
    };
    for token in added {
        builder.mark(&token.content, token.id, token.kind())?;
    }
    let vocabulary = builder.build()?;
    let unknown = match &model.unk_token {
        Some(piece) => Some(
            vocabulary
                .id(piece)
                .ok_or_else(|| format!("unk_token {piece:?} is not in the vocabulary"))?,
        ),
        None => None,
    };
    let continuation = model.continuing_subword_prefix.unwrap_or_default();
    let algorithm = match (kind, scores) {
        ("BPE", None) => {
            let options = BpeOptions {
                unknown,
                fuse_unknown: model.fuse_unk,
                byte_fallback: model.byte_fallback,
                whole_words: model.ignore_merges,
                continuation,
                word_end: model.end_of_word_suffix.unwrap_or_default(),
            };
            Algorithm::Bpe(Bpe::new(&vocabulary, model.merges.iter(), options)?)
        }
        ("WordPiece", None) => Algorithm::WordPiece(WordPiece {
            marks: WordMarks::Continuation(continuation),
            unknown: unknown.ok_or("WordPiece needs an unk_token")?,
            longest_word: model.max_input_chars_per_word.unwrap_or(100),
            longest_piece: vocabulary.longest_piece(),
        }),
        ("WordLevel", None) => Algorithm::WholeWords { unknown },
        ("Unigram", Some(scores)) => {
            let unigram = Unigram::from(scores, model.unk_id, model.byte_fallback);
            Algorithm::Unigram(Box::new(unigram.map_err(|e| e.to_string())?))
        }
        (kind, scores) => {
            let vocab = if scores.is_some() { "list" } else { "map" };
            return Err(format!(
                "model type {kind:?} with a {vocab} as vocab is not supported: BPE, WordPiece and \
                 WordLevel with a map, Unigram with a list are"
            ));
        }
    };
    Ok((vocabulary, algorithm))
}

fn pieces(scores: &[(String, f64)]) -> std::result::Result<VocabularyBuilder, Problem> {
    let bytes = scores.iter().map(|(piece, _)| piece.len()).sum();
    let mut builder = VocabularyBuilder::with_capacity(scores.len(), bytes);
    for (piece, _) in scores {
        builder.push(piece, Kind::Normal)?;
    }
    Ok(builder)
}

/// What the post-processor puts before and after a text: it processes one token that stands for
/// the text.
fn around(
    processor: Option<&PostProcessorWrapper>,
) -> std::result::Result<(Vec<u32>, Vec<u32>), Problem> {
    const TEXT: u32 = u32::MAX;
    let Some(processor) = processor else { return Ok(Default::default()) };
    let text = Encoding::from_tokens(vec![Token::new(TEXT, String::new(), (0, 0))], 0);
    let processed = processor.process(text, None, true).map_err(|e| e.to_string())?;
    let ids = processed.get_ids();
    let at = ids.iter().position(|id| *id == TEXT).ok_or("leaves out the text")?;
    Ok((ids[..at].to_vec(), ids[at + 1..].to_vec()))
}

impl Parts {
    /// The marks as `tokenizer_config.json` names them. Its `add_bos_token` and `add_eos_token`,
    /// where given, overrule the post-processor.
    fn apply(&mut self, config: &Config) {
        let id = |name: &Option<super::config::TokenName>| {
            name.as_ref().and_then(|name| self.vocabulary.id(name.text()))
        };
        self.bos = id(&config.bos_token).or(self.before.first().copied());
        self.eos = id(&config.eos_token).or_else(|| self.usual_end());
        set_mark(&mut self.before, self.bos, config.add_bos_token);
        set_mark(&mut self.after, self.eos, config.add_eos_token);
    }

    /// The end mark under its usual names, for files that do not say.
    fn usual_end(&self) -> Option<u32> {
        let names = ["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"];
        let ids = names.iter().filter_map(|name| self.vocabulary.id(name));
        ids.into_iter().find(|id| self.vocabulary.kind(*id).is_control())
    }

    fn check_marks(&self) -> std::result::Result<(), Problem> {
        let unknown = |id: &&u32| self.vocabulary.kind(**id) == Kind::Absent;
        match self.before.iter().chain(&self.after).find(unknown) {
            Some(id) => Err(format!("adds token id {id}, which the vocabulary lacks")),
            None => Ok(()),
        }
    }
}

/// Adds or takes away one mark.
fn set_mark(marks: &mut Vec<u32>, mark: Option<u32>, wanted: Option<bool>) {
    let (Some(mark), Some(wanted)) = (mark, wanted) else { return };
    match wanted {
        true if !marks.contains(&mark) => marks.push(mark),
        true => {}
        false => marks.retain(|id| *id != mark),
    }
}
