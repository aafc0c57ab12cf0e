//! From the sections of a `tokenizer.json` to a vocabulary and the algorithm over it.

use tokenizers::models::unigram::Unigram;

use super::json::AddedFile;
use super::json_model::{ModelFile, VocabFile};
use crate::text::algorithm::Algorithm;
use crate::text::bpe::{Bpe, BpeOptions};
use crate::text::decoder::WordMarks;
use crate::text::vocabulary::{Kind, Problem, Vocabulary};
use crate::text::vocabulary_builder::VocabularyBuilder;
use crate::text::wordpiece::WordPiece;

/// The vocabulary with its added tokens, and the algorithm over it.
pub(super) fn build(
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
