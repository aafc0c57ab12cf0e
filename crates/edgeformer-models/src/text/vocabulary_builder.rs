//! A vocabulary in the making.

use super::vocabulary::{ABSENT, Kind, Problem, Span, Vocabulary};
use crate::error::quote;

/// The longest piece, in bytes, that a token may have.
const LONGEST_PIECE: usize = u16::MAX as usize;

/// A vocabulary in the making: pieces arrive in any order, each with its id.
#[derive(Default)]
pub(super) struct VocabularyBuilder {
    arena: String,
    spans: Vec<Span>,
    /// Tokens whose ids are far ahead of their number: they wait until the number is known, so
    /// that a wild id in a small file reserves nothing.
    ahead: Vec<(u32, Span)>,
    added: usize,
}

impl VocabularyBuilder {
    /// Room for so many tokens and bytes of pieces.
    pub fn with_capacity(tokens: usize, bytes: usize) -> Self {
        Self {
            arena: String::with_capacity(bytes),
            spans: Vec::with_capacity(tokens),
            ..Self::default()
        }
    }

    /// Adds a token under the next id.
    pub fn push(&mut self, piece: &str, kind: Kind) -> Result<(), Problem> {
        let span = self.store(piece, kind)?;
        self.spans.push(span);
        self.added += 1;
        Ok(())
    }

    /// Adds a token under an id of its own.
    pub fn insert(&mut self, piece: &str, id: u32, kind: Kind) -> Result<(), Problem> {
        let span = self.store(piece, kind)?;
        self.added += 1;
        if id as usize > self.most_ids() {
            self.ahead.push((id, span));
            return Ok(());
        }
        self.place(id, span)
    }

    /// Says what an added token is: new under its id, or one that is there already. Comes after
    /// every `insert`.
    pub fn mark(&mut self, piece: &str, id: u32, kind: Kind) -> Result<(), Problem> {
        self.settle()?;
        let present = self.spans.get(id as usize).is_some_and(|span| span.kind != Kind::Absent);
        if !present {
            return self.insert(piece, id, kind);
        }
        if self.piece(self.spans[id as usize]) != piece {
            self.spans[id as usize] = self.store(piece, kind)?;
        }
        self.spans[id as usize].kind = kind;
        Ok(())
    }

    /// The vocabulary, once every token is there.
    pub fn build(mut self) -> Result<Vocabulary, Problem> {
        self.settle()?;
        self.spans.shrink_to_fit();
        self.arena.shrink_to_fit();
        Vocabulary::new(self.arena.into_boxed_str(), self.spans.into_boxed_slice())
    }

    fn piece(&self, span: Span) -> &str {
        &self.arena[span.start as usize..span.start as usize + span.len as usize]
    }

    /// The highest id that leaves a sane number of holes.
    fn most_ids(&self) -> usize {
        2 * self.added + 4096
    }

    /// Places the tokens that waited.
    fn settle(&mut self) -> Result<(), Problem> {
        for (id, span) in std::mem::take(&mut self.ahead) {
            if id as usize > self.most_ids() {
                let piece = quote(self.piece(span));
                return Err(format!(
                    "token {piece} has id {id}, but there are only {} tokens",
                    self.added
                ));
            }
            self.place(id, span)?;
        }
        Ok(())
    }

    fn place(&mut self, id: u32, span: Span) -> Result<(), Problem> {
        if self.spans.len() <= id as usize {
            self.spans.resize(id as usize + 1, ABSENT);
        }
        let present = self.spans[id as usize];
        if present.kind != Kind::Absent {
            let (first, second) = (quote(self.piece(present)), quote(self.piece(span)));
            return Err(format!("id {id} belongs to both {first} and {second}"));
        }
        self.spans[id as usize] = span;
        Ok(())
    }

    fn store(&mut self, piece: &str, kind: Kind) -> Result<Span, Problem> {
        if piece.len() > LONGEST_PIECE {
            return Err(format!(
                "token {} is {} bytes long; a token has at most {LONGEST_PIECE}",
                quote(piece),
                piece.len()
            ));
        }
        let start = u32::try_from(self.arena.len())
            .map_err(|_| "the pieces pass 4 GiB: no tokenizer is so large".to_owned())?;
        self.arena.push_str(piece);
        Ok(Span { start, len: piece.len() as u16, kind })
    }
}
