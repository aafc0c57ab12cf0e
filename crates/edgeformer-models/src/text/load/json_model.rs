//! The `model` section of a `tokenizer.json`, read straight into the vocabulary's arena.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::merges::Merges;
use crate::text::vocabulary::Kind;
use crate::text::vocabulary_builder::VocabularyBuilder;

/// What the section says; which fields count depends on its type.
#[derive(Deserialize)]
pub(super) struct ModelFile {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub vocab: VocabFile,
    #[serde(default)]
    pub merges: Merges,
    pub unk_token: Option<String>,
    pub unk_id: Option<usize>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub fuse_unk: bool,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
    pub max_input_chars_per_word: Option<usize>,
}

/// A vocabulary: a map from pieces to ids, or a list of pieces with scores.
pub(super) enum VocabFile {
    /// BPE, WordPiece, whole words.
    Ids(VocabularyBuilder),
    /// Unigram.
    Scores(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for VocabFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabVisitor)
    }
}

struct VocabVisitor;

impl<'de> Visitor<'de> for VocabVisitor {
    type Value = VocabFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from pieces to ids, or a list of pieces with scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VocabFile, A::Error> {
        let mut builder = VocabularyBuilder::default();
        let mut piece = String::new();
        while map.next_key_seed(AppendPiece(&mut piece))?.is_some() {
            let id = map.next_value()?;
            builder.insert(&piece, id, Kind::Normal).map_err(serde::de::Error::custom)?;
            piece.clear();
        }
        Ok(VocabFile::Ids(builder))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<VocabFile, A::Error> {
        let mut scores = Vec::new();
        while let Some(entry) = list.next_element()? {
            scores.push(entry);
        }
        Ok(VocabFile::Scores(scores))
    }
}

/// Appends a string of the file to an arena, without a string of its own between.
pub(super) struct AppendPiece<'a>(pub &'a mut String);

impl<'de> DeserializeSeed<'de> for AppendPiece<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for AppendPiece<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a piece of text")
    }

    fn visit_str<E: serde::de::Error>(self, piece: &str) -> Result<(), E> {
        self.0.push_str(piece);
        Ok(())
    }
}
