//! The vocabulary: which piece of text every token id stands for.

use super::index::Index;
use crate::error::quote;

/// The longest piece, in bytes, that a token may have.
const LONGEST_PIECE: usize = u16::MAX as usize;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No token has this id.
    Absent,
    /// A piece of text in the spelling of the tokenizer's algorithm.
    Normal,
    /// A word added by the model's maker, spelled as in the text and always recognised.
    UserDefined,
    /// A mark such as the end of a text: written by templates, never by a text's letters.
    Control,
    /// What stands for text that no token spells.
    Unknown,
    /// One byte, spelled `<0xXX>`.
    Byte,
    /// An id in reserve.
    Unused,
}

impl Kind {
    /// Whether ordinary text may be spelled with this token by the tokenizer's algorithm.
    fn spells_text(self) -> bool {
        matches!(self, Self::Normal | Self::UserDefined)
    }

    /// Whether the token is left out of text meant for people.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }
}

/// Where a token's piece lies: 8 bytes a token.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u16,
    kind: Kind,
}

const ABSENT: Span = Span { start: 0, len: 0, kind: Kind::Absent };

/// All pieces in one arena, by id, with an index from pieces to ids.
pub(super) struct Vocabulary {
    arena: Box<str>,
    spans: Box<[Span]>,
    index: Index,
}

impl Vocabulary {
    /// One more than the highest id.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The kind of a token; [`Kind::Absent`] past the end.
    pub fn kind(&self, id: u32) -> Kind {
        self.spans.get(id as usize).map_or(Kind::Absent, |span| span.kind)
    }

    /// The piece of a token as its file spells it; empty where there is none.
    pub fn piece(&self, id: u32) -> &str {
        let span = self.spans.get(id as usize).copied().unwrap_or(ABSENT);
        &self.arena[span.start as usize..span.start as usize + span.len as usize]
    }

    /// The token with this piece, whatever its kind.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.index.find(piece, |id| self.piece(id) == piece)
    }

    /// The token with this piece, if text may be spelled with it.
    pub fn text_id(&self, piece: &str) -> Option<u32> {
        self.id(piece).filter(|id| self.kind(*id).spells_text())
    }

    /// The length in bytes of the longest piece.
    pub fn longest_piece(&self) -> usize {
        self.spans.iter().map(|span| span.len as usize).max().unwrap_or(0)
    }

    /// The tokens `<0x00>` to `<0xFF>`, where the vocabulary has all of them.
    pub fn byte_tokens(&self) -> Option<Box<[u32; 256]>> {
        let mut ids = Box::new([0; 256]);
        for (byte, id) in ids.iter_mut().enumerate() {
            *id = self.id(&format!("<0x{byte:02X}>"))?;
        }
        Some(ids)
    }
}

/// The byte that a piece `<0xXX>` stands for.
pub(super) fn byte_of_piece(piece: &str) -> Option<u8> {
    let hex = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() != 2 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(hex, 16).ok()
}

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

/// What is wrong with a token, for an error line.
pub(super) type Problem = String;

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
        let mut vocabulary = Vocabulary {
            arena: self.arena.into_boxed_str(),
            spans: self.spans.into_boxed_slice(),
            index: Index::new(self.added),
        };
        let mut index = std::mem::replace(&mut vocabulary.index, Index::new(0));
        for id in 0..vocabulary.len() as u32 {
            if vocabulary.kind(id) == Kind::Absent {
                continue;
            }
            let piece = vocabulary.piece(id);
            if let Err(first) = index.insert(piece, id, |other| vocabulary.piece(other) == piece) {
                return Err(format!("tokens {first} and {id} are both {}", quote(piece)));
            }
        }
        vocabulary.index = index;
        Ok(vocabulary)
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
