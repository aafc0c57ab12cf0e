//! WordPiece: of every word the longest piece in the vocabulary, then the longest of the rest
//! (Wu et al., "Google's Neural Machine Translation System", 2016; BERT's tokenizer).

use super::decoder::{SPACE_MARK, WordMarks};
use super::vocabulary::Vocabulary;

/// How words are cut into pieces.
pub(super) struct WordPiece {
    /// How pieces inside a word differ from pieces at its beginning.
    pub marks: WordMarks,
    /// The token of a word that cannot be spelled.
    pub unknown: u32,
    /// Words of more characters are unknown.
    pub longest_word: usize,
    /// The longest piece of the vocabulary, in bytes.
    pub longest_piece: usize,
}

impl WordPiece {
    /// Appends the tokens of one word.
    pub fn encode(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let too_long = word.chars().nth(self.longest_word).is_some();
        if too_long || self.cut(vocabulary, word, ids).is_none() {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }

    fn cut(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) -> Option<()> {
        let mut spelling = String::new();
        let mut at = 0;
        while at < word.len() {
            spelling.clear();
            match (&self.marks, at) {
                (WordMarks::Beginning, 0) => spelling.push_str(SPACE_MARK),
                (WordMarks::Continuation(mark), 1..) => spelling.push_str(mark),
                _ => {}
            }
            let marks = spelling.len();
            spelling.push_str(&word[at..word.floor_char_boundary(at + self.longest_piece)]);
            let id = self.longest(vocabulary, &mut spelling, marks)?;
            ids.push(id);
            at += spelling.len() - marks;
        }
        Some(())
    }

    /// Cuts `spelling` to the longest token it begins with, longer than its marks.
    fn longest(&self, vocabulary: &Vocabulary, spelling: &mut String, marks: usize) -> Option<u32> {
        while spelling.len() > marks {
            if let Some(id) = vocabulary.text_id(spelling) {
                return Some(id);
            }
            spelling.pop();
        }
        None
    }
}
