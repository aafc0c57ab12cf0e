//! Byte-pair encoding: neighbours merge in the order in which training found their pairs
//! (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016).

use std::cmp::Reverse;

use super::index::Index;
use super::symbols::merge_all;
use super::vocabulary::{Problem, Vocabulary};
use crate::error::quote;

/// Two tokens and the token they become.
#[derive(Clone, Copy)]
struct Merge {
    left: u32,
    right: u32,
    result: u32,
}

/// What a BPE file says besides its vocabulary and merges.
#[derive(Clone, Debug, Default)]
pub(super) struct BpeOptions {
    /// The token for characters that nothing spells; without one they are left out.
    pub unknown: Option<u32>,
    /// Whether neighbouring unknown characters become one token.
    pub fuse_unknown: bool,
    /// Whether characters that nothing spells become the tokens of their bytes.
    pub byte_fallback: bool,
    /// Whether a word that is itself a token is that token, whatever the merges say.
    pub whole_words: bool,
    /// Put before every symbol of a word but the first.
    pub continuation: String,
    /// Put after the last symbol of a word.
    pub word_end: String,
}

/// The merges of a BPE tokenizer, in 16 to 22 bytes a merge.
pub(super) struct Bpe {
    merges: Box<[Merge]>,
    index: Index,
    byte_tokens: Option<Box<[u32; 256]>>,
    options: BpeOptions,
}

impl Bpe {
    /// Looks up the tokens of every merge; the first merge is the most urgent.
    pub fn new<'a>(
        vocabulary: &Vocabulary,
        merges: impl ExactSizeIterator<Item = Result<(&'a str, &'a str), Problem>>,
        options: BpeOptions,
    ) -> Result<Self, Problem> {
        let mut list: Vec<Merge> = Vec::with_capacity(merges.len());
        let mut index = Index::new(merges.len());
        let mut joined = String::new();
        for merge in merges {
            let (left, right) = merge?;
            joined.clear();
            joined.push_str(left);
            joined.push_str(right.strip_prefix(options.continuation.as_str()).unwrap_or(right));
            let merge = Merge {
                left: known(vocabulary, left, left, right)?,
                right: known(vocabulary, right, left, right)?,
                result: known(vocabulary, &joined, left, right)?,
            };
            let pair = (merge.left, merge.right);
            let is_pair = |at: u32| (list[at as usize].left, list[at as usize].right) == pair;
            // A pair that is listed twice keeps its first, more urgent place.
            if index.insert(&pair, list.len() as u32, is_pair).is_ok() {
                list.push(merge);
            }
        }
        let byte_tokens = vocabulary.byte_tokens().filter(|_| options.byte_fallback);
        Ok(Self { merges: list.into_boxed_slice(), index, byte_tokens, options })
    }

    /// Left, right and joined token of every merge, the most urgent first.
    pub fn merges(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        self.merges.iter().map(|merge| (merge.left, merge.right, merge.result))
    }

    /// What the file says besides.
    pub fn options(&self) -> &BpeOptions {
        &self.options
    }

    /// Appends the tokens of one word.
    pub fn encode(&self, vocabulary: &Vocabulary, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        if self.options.whole_words
            && let Some(id) = vocabulary.text_id(word)
        {
            ids.push(id);
            return;
        }
        let symbols = self.symbols(vocabulary, word);
        ids.extend(merge_all(symbols.into_iter(), |left, right| {
            let rank = self.rank(left, right)?;
            Some((Reverse(rank), self.merges[rank as usize].result))
        }));
    }

    fn rank(&self, left: u32, right: u32) -> Option<u32> {
        self.index.find(&(left, right), |at| {
            let merge = self.merges[at as usize];
            (merge.left, merge.right) == (left, right)
        })
    }

    /// The tokens of a word's single characters.
    fn symbols(&self, vocabulary: &Vocabulary, word: &str) -> Vec<u32> {
        let mut symbols = Vec::with_capacity(word.len());
        let mut unknown_before = false;
        let mut spelling = String::new();
        for (at, character) in word.char_indices() {
            let mut buffer = [0; 4];
            let plain = &*character.encode_utf8(&mut buffer);
            let last = at + plain.len() == word.len();
            let symbol = self.spelling(plain, at == 0, last, &mut spelling);
            let known = vocabulary.text_id(symbol);
            let unknown = self.options.unknown;
            match (known, &self.byte_tokens) {
                (Some(id), _) => symbols.push(id),
                (None, Some(tokens)) => {
                    symbols.extend(symbol.bytes().map(|byte| tokens[byte as usize]));
                }
                (None, None) if unknown_before && self.options.fuse_unknown => continue,
                (None, None) => symbols.extend(unknown),
            }
            unknown_before = known.is_none() && self.byte_tokens.is_none();
        }
        symbols
    }

    fn spelling<'a>(
        &self,
        plain: &'a str,
        first: bool,
        last: bool,
        buffer: &'a mut String,
    ) -> &'a str {
        let before = if first { "" } else { self.options.continuation.as_str() };
        let after = if last { self.options.word_end.as_str() } else { "" };
        if before.is_empty() && after.is_empty() {
            return plain;
        }
        buffer.clear();
        buffer.extend([before, plain, after]);
        buffer
    }
}

fn known(vocabulary: &Vocabulary, piece: &str, left: &str, right: &str) -> Result<u32, Problem> {
    vocabulary.id(piece).ok_or_else(|| {
        format!(
            "the merge of {} and {} needs the token {}, which the vocabulary lacks",
            quote(left),
            quote(right),
            quote(piece)
        )
    })
}
