//! A tokenizer from the metadata of a GGUF file.

use tokenizers::normalizers::{BertNormalizer, Prepend, Replace, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper};

use super::gguf_vocabulary::{TOKENS, same_length, token, vocabulary};
use super::merges::split_merge;
use crate::Result;
use crate::gguf::{Gguf, Metadata};
use crate::text::Tokenizer;
use crate::text::algorithm::Algorithm;
use crate::text::bpe::{Bpe, BpeOptions};
use crate::text::decoder::{Decoder, SPACE_MARK, WordMarks};
use crate::text::pre_tokenizer::Named;
use crate::text::sentencepiece::SentencePiece;
use crate::text::tokenizer::{AddedTokens, Parts};
use crate::text::vocabulary::{Kind, Vocabulary};
use crate::text::wordpiece::WordPiece;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const EOT: &str = "tokenizer.ggml.eot_token_id";
const EOM: &str = "tokenizer.ggml.eom_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
const CLASS: &str = "tokenizer.ggml.cls_token_id";
/// Spelled like this in the format.
const SEPARATOR: &str = "tokenizer.ggml.seperator_token_id";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
const ADD_SPACE: &str = "tokenizer.ggml.add_space_prefix";

impl Tokenizer {
    /// Reads a GGUF file's tokenizer; `None` where it has none, or says so.
    ///
    /// Known are the models `llama` (SentencePiece), `gpt2` (byte-level BPE) and `bert`
    /// (WordPiece), with llama.cpp's defaults for what a file leaves out.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<Self>> {
        Self::from_metadata(gguf.metadata())
    }

    /// [`Tokenizer::from_gguf`], from the metadata of a file.
    pub(crate) fn from_metadata(metadata: &Metadata) -> Result<Option<Self>> {
        let Some(model) = metadata.str(MODEL)? else { return Ok(None) };
        if matches!(model, "none" | "no_vocab") {
            return Ok(None);
        }
        let file = File { metadata, vocabulary: vocabulary(metadata)? };
        let mut parts = match model {
            "llama" => file.sentencepiece()?,
            "gpt2" => file.byte_level()?,
            "bert" => file.wordpiece()?,
            other => {
                let other = crate::error::quote(other);
                let problem = format!("is {other}; known are \"llama\", \"gpt2\" and \"bert\"");
                return Err(metadata.error(MODEL, problem));
            }
        };
        parts.path = metadata.path().to_owned();
        let mut ends = Vec::new();
        for key in [EOT, EOM] {
            ends.extend(token(metadata, &parts.vocabulary, key)?);
        }
        let mut tokenizer = Self::new(parts);
        tokenizer.add_end_tokens(&ends);
        Ok(Some(tokenizer))
    }
}

/// What all models read alike.
struct File<'a> {
    metadata: &'a Metadata,
    vocabulary: Vocabulary,
}

impl File<'_> {
    fn sentencepiece(self) -> Result<Parts> {
        let scores = self.metadata.need(SCORES, Metadata::f32_array)?;
        self.same_length(SCORES, scores.len())?;
        if let Some(at) = scores.iter().position(|score| score.is_nan()) {
            return Err(self.metadata.error(SCORES, format!("score {at} is not a number")));
        }
        let unknown = self.token_or(UNKNOWN, 0)?;
        let prefix = self.metadata.bool(ADD_SPACE)?.unwrap_or(true);
        let normalizer = space_marks(prefix).map_err(|e| self.metadata.error(MODEL, e))?;
        let algorithm = SentencePiece::new(&self.vocabulary, scores.into_boxed_slice(), unknown);
        let decoder = Decoder::Marked { leading_spaces: usize::from(prefix), bytes: true };
        let (bos, eos) = (self.token_or(BOS, 1)?, self.token_or(EOS, 2)?);
        let marks = Marks { bos, eos, add_bos: true, separator: None };
        self.parts(Algorithm::SentencePiece(algorithm), Some(normalizer), None, decoder, marks)
    }

    fn byte_level(self) -> Result<Parts> {
        let pre = self.metadata.str(PRE)?.unwrap_or("default");
        let named = Named::find(pre).map_err(|e| self.metadata.error(PRE, e))?;
        let pre_tokenizer = named.pre_tokenizer().map_err(|e| self.metadata.error(PRE, e))?;
        let merges = self.metadata.need(MERGES, Metadata::str_array)?.map(split_merge);
        let options = BpeOptions { whole_words: named.whole_words, ..BpeOptions::default() };
        let bpe = Bpe::new(&self.vocabulary, merges, options)
            .map_err(|e| self.metadata.error(MERGES, e))?;
        let (bos, eos) = (self.token(BOS)?, self.token(EOS)?);
        let separator = if named.add_separator { self.token(SEPARATOR)?.or(eos) } else { None };
        let marks = Marks { bos, eos, add_bos: named.add_bos, separator };
        self.parts(Algorithm::Bpe(bpe), None, Some(pre_tokenizer), Decoder::ByteLevel, marks)
    }

    fn wordpiece(self) -> Result<Parts> {
        let unknown = self
            .token_or(UNKNOWN, 100)?
            .ok_or_else(|| self.metadata.error(UNKNOWN, "is missing: WordPiece needs it"))?;
        let algorithm = WordPiece {
            marks: WordMarks::Beginning,
            unknown,
            longest_word: usize::MAX,
            longest_piece: self.vocabulary.longest_piece(),
        };
        let decoder = Decoder::WordPiece { marks: WordMarks::Beginning, clean_up: true };
        let bos = self.token(CLASS)?.or(self.token(BOS)?).or(self.token_or(CLASS, 101)?);
        let eos = self.token_or(SEPARATOR, 102)?;
        let marks = Marks { bos, eos, add_bos: true, separator: eos };
        let normalizer = BertNormalizer::new(true, true, Some(true), true);
        self.parts(
            Algorithm::WordPiece(algorithm),
            Some(NormalizerWrapper::BertNormalizer(normalizer)),
            Some(PreTokenizerWrapper::BertPreTokenizer(BertPreTokenizer)),
            decoder,
            marks,
        )
    }

    fn parts(
        self,
        algorithm: Algorithm,
        normalizer: Option<NormalizerWrapper>,
        pre_tokenizer: Option<PreTokenizerWrapper>,
        decoder: Decoder,
        marks: Marks,
    ) -> Result<Parts> {
        let added = self.added_tokens()?;
        let add_bos = self.metadata.bool(ADD_BOS)?.unwrap_or(marks.add_bos);
        let add_eos = self.metadata.bool(ADD_EOS)?.unwrap_or(false);
        let after = marks.separator.or(marks.eos.filter(|_| add_eos));
        Ok(Parts {
            algorithm,
            normalizer,
            pre_tokenizer,
            added,
            decoder,
            before: marks.bos.filter(|_| add_bos).into_iter().collect(),
            after: after.into_iter().collect(),
            bos: marks.bos,
            eos: marks.eos,
            path: Default::default(),
            vocabulary: self.vocabulary,
        })
    }

    /// The tokens that are recognised whole, by their types.
    fn added_tokens(&self) -> Result<AddedTokens> {
        let swallows = self.swallows_spaces()?;
        let mut tokens = Vec::new();
        for id in 0..self.vocabulary.len() as u32 {
            let kind = self.vocabulary.kind(id);
            let piece = self.vocabulary.piece(id);
            if !(kind.is_control() || kind == Kind::UserDefined) || piece.is_empty() {
                continue;
            }
            let text_mark = matches!(piece, "<unk>" | "<s>" | "<|endoftext|>" | "</s>");
            let token = AddedToken::from(piece, kind.is_control())
                .normalized(false)
                .rstrip(swallows && !text_mark);
            tokens.push((token, id));
        }
        AddedTokens::new(tokens, None).map_err(|e| self.metadata.error(TOKENS, e))
    }

    /// Phi-3's marks swallow the white space after them, which GGUF has no key for.
    fn swallows_spaces(&self) -> Result<bool> {
        let name = self.metadata.str("general.name")?.unwrap_or_default().to_lowercase();
        let sentencepiece = self.metadata.str(MODEL)? == Some("llama");
        Ok(sentencepiece && (name.contains("phi-3") || name.contains("phi3")))
    }

    fn same_length(&self, key: &str, len: usize) -> Result<()> {
        same_length(self.metadata, key, len, self.vocabulary.len())
    }

    fn token(&self, key: &str) -> Result<Option<u32>> {
        token(self.metadata, &self.vocabulary, key)
    }

    /// The token of a key, or the usual one where the key is absent.
    fn token_or(&self, key: &str, usual: u32) -> Result<Option<u32>> {
        let usual = Some(usual).filter(|id| self.vocabulary.kind(*id) != Kind::Absent);
        Ok(self.token(key)?.or(usual))
    }
}

/// The tokens around a text.
struct Marks {
    bos: Option<u32>,
    eos: Option<u32>,
    /// Whether a text begins with `bos` where the file does not say.
    add_bos: bool,
    /// What always ends a text.
    separator: Option<u32>,
}

/// Spaces as `▁`, with one more before the text if the model was trained so.
fn space_marks(prefix: bool) -> std::result::Result<NormalizerWrapper, String> {
    let replace = Replace::new(" ", SPACE_MARK).map_err(|e| e.to_string())?;
    let mut steps = Vec::new();
    if prefix {
        steps.push(NormalizerWrapper::Prepend(Prepend::new(SPACE_MARK.to_owned())));
    }
    steps.push(NormalizerWrapper::Replace(replace));
    Ok(NormalizerWrapper::Sequence(Sequence::new(steps)))
}
