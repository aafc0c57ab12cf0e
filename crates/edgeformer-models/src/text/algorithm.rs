//! The algorithms that cut words into tokens, behind one face.

use tokenizers::Model as _;
use tokenizers::models::unigram::Unigram;

use super::bpe::Bpe;
use super::sentencepiece::SentencePiece;
use super::vocabulary::Vocabulary;
use super::wordpiece::WordPiece;
use crate::{Error, Result};

/// How a word becomes tokens. BPE, SentencePiece and WordPiece are our own: they share the one
/// vocabulary, in a quarter of the memory.
pub(super) enum Algorithm {
    Bpe(Bpe),
    SentencePiece(SentencePiece),
    WordPiece(WordPiece),
    /// A word is a token or unknown.
    WholeWords {
        unknown: Option<u32>,
    },
    Unigram(Box<Unigram>),
}

impl Algorithm {
    /// Appends the tokens of one word.
    pub fn encode(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Bpe(bpe) => bpe.encode(vocabulary, word, ids),
            Self::SentencePiece(pieces) => pieces.encode(vocabulary, word, ids),
            Self::WordPiece(pieces) => pieces.encode(vocabulary, word, ids),
            Self::WholeWords { unknown } => ids.extend(vocabulary.text_id(word).or(*unknown)),
            Self::Unigram(unigram) => {
                let tokens = unigram.tokenize(word).map_err(|e| Error::Text(e.to_string()))?;
                ids.extend(tokens.into_iter().map(|token| token.id));
            }
        }
        Ok(())
    }
}
