//! Scores and merges: two forms of one order. SentencePiece gives every piece a score, BPE files
//! list the pairs that become pieces, the most urgent first.

use crate::text::bpe::Bpe;
use crate::text::sentencepiece::SentencePiece;
use crate::text::vocabulary::{Kind, Vocabulary};

/// The score of a token that nothing merges into.
const LAST: f32 = -1e9;

/// Scores that merge in the order of a BPE file: the piece that is made first has 0, the next -1.
pub(super) fn scores(bpe: &Bpe, vocabulary: &Vocabulary) -> Vec<f32> {
    let mut scores = vec![None; vocabulary.len()];
    // The sign is that of SentencePiece's files, which negate a count.
    let mut next = -0.0;
    for (_, _, result) in bpe.merges() {
        let score = &mut scores[result as usize];
        if score.is_none() {
            *score = Some(next);
            next -= 1.0;
        }
    }
    // Single characters come behind all that they become, as in SentencePiece's files.
    for (id, score) in scores.iter_mut().enumerate() {
        let id = id as u32;
        if score.is_none() && is_character(vocabulary, id) {
            *score = Some(next);
            next -= 1.0;
        }
    }
    let rest = |(id, score): (usize, Option<f32>)| {
        let spelled = matches!(vocabulary.kind(id as u32), Kind::Normal | Kind::UserDefined);
        score.unwrap_or(if spelled && !is_byte(vocabulary, id as u32) { LAST } else { 0.0 })
    };
    scores.into_iter().enumerate().map(rest).collect()
}

fn is_character(vocabulary: &Vocabulary, id: u32) -> bool {
    vocabulary.kind(id) == Kind::Normal && vocabulary.piece(id).chars().nth(1).is_none()
}

/// Whether a token is one of `<0x00>` to `<0xFF>`.
pub(super) fn is_byte(vocabulary: &Vocabulary, id: u32) -> bool {
    crate::text::vocabulary::byte_of_piece(vocabulary.piece(id)).is_some()
}

/// Every pair of pieces that is a piece, in the order of the scores; among equals the longer
/// pieces first, as transformers' converter sorts them.
pub(super) fn merges<'a>(
    pieces: &SentencePiece,
    vocabulary: &'a Vocabulary,
) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for id in 0..vocabulary.len() as u32 {
        let piece = vocabulary.piece(id);
        if vocabulary.text_id(piece) != Some(id) {
            continue;
        }
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if vocabulary.text_id(left).is_some() && vocabulary.text_id(right).is_some() {
                found.push((pieces.score(id), left, right));
            }
        }
    }
    let characters = |text: &str| text.chars().count();
    found.sort_by(|a, b| {
        let lengths = |(_, left, right): &(f32, &str, &str)| (characters(left), characters(right));
        b.0.total_cmp(&a.0).then_with(|| lengths(b).cmp(&lengths(a)))
    });
    found.into_iter().map(|(_, left, right)| (left, right)).collect()
}
