//! SentencePiece's BPE as GGUF files of the model `llama` describe it: no list of merges, but a
//! score for every token; of all neighbours whose pieces together are a token, those with the
//! best score merge first (Kudo and Richardson, "SentencePiece", 2018).

use super::symbols::merge_all;
use super::vocabulary::Vocabulary;

/// The scores of a SentencePiece vocabulary.
pub(super) struct SentencePiece {
    scores: Box<[f32]>,
    byte_tokens: Option<Box<[u32; 256]>>,
    unknown: Option<u32>,
}

/// A float in its total order, so that it can be a priority.
#[derive(PartialEq, Clone, Copy)]
struct Score(f32);

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl SentencePiece {
    /// One score a token of the vocabulary.
    pub fn new(vocabulary: &Vocabulary, scores: Box<[f32]>, unknown: Option<u32>) -> Self {
        debug_assert_eq!(scores.len(), vocabulary.len());
        Self { scores, byte_tokens: vocabulary.byte_tokens(), unknown }
    }

    /// The score of a token.
    pub fn score(&self, id: u32) -> f32 {
        self.scores[id as usize]
    }

    /// The token for what nothing spells.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// Appends the tokens of a text whose spaces are written `▁`.
    pub fn encode(&self, vocabulary: &Vocabulary, text: &str, ids: &mut Vec<u32>) {
        let characters = text.char_indices().map(|(at, c)| (at as u32, (at + c.len_utf8()) as u32));
        let pieces = merge_all(characters, |left, right| {
            let id = vocabulary.text_id(&text[left.0 as usize..right.1 as usize])?;
            Some((Score(self.scores[id as usize]), (left.0, right.1)))
        });
        for (start, end) in pieces {
            self.push(vocabulary, &text[start as usize..end as usize], ids);
        }
    }

    /// The token of a piece, or of its bytes: only a single character can lack a token.
    fn push(&self, vocabulary: &Vocabulary, piece: &str, ids: &mut Vec<u32>) {
        match (vocabulary.text_id(piece), &self.byte_tokens) {
            (Some(id), _) => ids.push(id),
            (None, Some(tokens)) => ids.extend(piece.bytes().map(|byte| tokens[byte as usize])),
            (None, None) => ids.extend(self.unknown),
        }
    }
}
