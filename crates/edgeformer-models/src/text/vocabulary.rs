//! The vocabulary: which piece of text every token id stands for.

use super::index::Index;
use crate::error::quote;

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
pub(super) struct Span {
    pub start: u32,
    pub len: u16,
    pub kind: Kind,
}

/// Where nothing lies.
pub(super) const ABSENT: Span = Span { start: 0, len: 0, kind: Kind::Absent };

/// All pieces in one arena, by id, with an index from pieces to ids.
pub(super) struct Vocabulary {
    arena: Box<str>,
    spans: Box<[Span]>,
    index: Index,
}

impl Vocabulary {
    /// Indexes the pieces; no two may be the same.
    pub fn new(arena: Box<str>, spans: Box<[Span]>) -> Result<Self, Problem> {
        let present = spans.iter().filter(|span| span.kind != Kind::Absent).count();
        let mut index = Index::new(present);
        let vocabulary = Self { arena, spans, index: Index::new(0) };
        for id in 0..vocabulary.len() as u32 {
            if vocabulary.kind(id) == Kind::Absent {
                continue;
            }
            let piece = vocabulary.piece(id);
            if let Err(first) = index.insert(piece, id, |other| vocabulary.piece(other) == piece) {
                return Err(format!("tokens {first} and {id} are both {}", quote(piece)));
            }
        }
        Ok(Self { index, ..vocabulary })
    }

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

/// What is wrong with a token, for an error line.
pub(super) type Problem = String;
