//! From tokens to bytes: how a tokenizer's pieces spell text.

use super::vocabulary::{Kind, Vocabulary, byte_of_piece};

/// What stands for a space in SentencePiece vocabularies.
pub(super) const SPACE_MARK: &str = "\u{2581}";

/// How pieces become text. Every rule works on one token and what came before it, so that text
/// can be streamed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decoder {
    /// Every character of a piece stands for one byte (GPT-2's alphabet).
    ByteLevel,
    /// `▁` is a space, `<0xXX>` a byte; so many spaces at the beginning of a text are dropped.
    Marked {
        /// Spaces that encoding puts before a text and decoding takes away again.
        leading_spaces: usize,
        /// Whether `<0xXX>` is a byte.
        bytes: bool,
    },
    /// Words begin with a space, continuations do not; ` .`, ` ,`, ` ?`, ` !` lose their space.
    WordPiece {
        /// How continuations are marked.
        marks: WordMarks,
        /// Whether spaces before punctuation go.
        clean_up: bool,
    },
    /// Pieces end words with a mark such as `</w>`.
    WordEnd(String),
    /// Pieces are words; a space stands between them.
    Words,
}

/// How a WordPiece vocabulary tells the beginning of a word from its continuation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WordMarks {
    /// Continuations begin with this, `##` in BERT's files.
    Continuation(String),
    /// Beginnings begin with `▁`: how GGUF files spell BERT's vocabulary.
    Beginning,
}

/// What decoding has to remember from one token to the next.
#[derive(Clone, Debug)]
pub(super) struct DecoderState {
    leading_spaces: usize,
    at_start: bool,
}

impl Decoder {
    /// The state at the beginning of a text.
    pub fn start(&self) -> DecoderState {
        let leading_spaces = match self {
            Self::Marked { leading_spaces, .. } => *leading_spaces,
            _ => 0,
        };
        DecoderState { leading_spaces, at_start: true }
    }

    /// Appends the bytes that a token adds to the text.
    pub fn push(
        &self,
        vocabulary: &Vocabulary,
        id: u32,
        state: &mut DecoderState,
        bytes: &mut Vec<u8>,
    ) {
        let from = bytes.len();
        let literal = matches!(vocabulary.kind(id), Kind::UserDefined | Kind::Control);
        match self {
            Self::WordPiece { marks, clean_up } => {
                push_word_piece(vocabulary, id, marks, *clean_up, state.at_start, bytes);
            }
            Self::Words => {
                if !state.at_start {
                    bytes.push(b' ');
                }
                bytes.extend_from_slice(vocabulary.piece(id).as_bytes());
            }
            _ if literal => bytes.extend_from_slice(vocabulary.piece(id).as_bytes()),
            _ => self.spell(vocabulary.piece(id), bytes),
        }
        state.at_start = false;
        drop_leading_spaces(state, bytes, from);
    }

    /// The bytes of one token by itself, wherever it stands.
    pub fn token_bytes(&self, vocabulary: &Vocabulary, id: u32) -> Vec<u8> {
        let mut state = DecoderState { leading_spaces: 0, at_start: false };
        let mut bytes = Vec::new();
        if vocabulary.kind(id) != Kind::Absent {
            self.push(vocabulary, id, &mut state, &mut bytes);
        }
        bytes
    }

    fn spell(&self, piece: &str, bytes: &mut Vec<u8>) {
        match self {
            Self::ByteLevel => push_byte_level(piece, bytes),
            Self::Marked { bytes: has_bytes, .. } => {
                match byte_of_piece(piece).filter(|_| *has_bytes) {
                    Some(byte) => bytes.push(byte),
                    None => push_replaced(piece, SPACE_MARK, bytes),
                }
            }
            Self::WordEnd(mark) => push_replaced(piece, mark, bytes),
            Self::WordPiece { .. } | Self::Words => bytes.extend_from_slice(piece.as_bytes()),
        }
    }
}

fn push_word_piece(
    vocabulary: &Vocabulary,
    id: u32,
    marks: &WordMarks,
    clean_up: bool,
    at_start: bool,
    bytes: &mut Vec<u8>,
) {
    let piece = vocabulary.piece(id);
    let special = vocabulary.kind(id).is_control();
    let (begins, word) = match marks {
        WordMarks::Continuation(mark) => match piece.strip_prefix(mark.as_str()) {
            Some(rest) if !at_start => (false, rest),
            _ => (true, piece),
        },
        WordMarks::Beginning => match piece.strip_prefix(SPACE_MARK) {
            Some(rest) => (true, rest),
            None => (special, piece),
        },
    };
    let joins = clean_up && matches!(word, "." | "," | "?" | "!");
    if begins && !at_start && !joins {
        bytes.push(b' ');
    }
    bytes.extend_from_slice(word.as_bytes());
}

/// Takes away the spaces that encoding put before the text; the first other byte ends it.
fn drop_leading_spaces(state: &mut DecoderState, bytes: &mut Vec<u8>, from: usize) {
    if state.leading_spaces == 0 || bytes.len() == from {
        return;
    }
    let spaces = bytes[from..].iter().take_while(|byte| **byte == b' ').count();
    let dropped = spaces.min(state.leading_spaces);
    bytes.drain(from..from + dropped);
    state.leading_spaces = if bytes.len() > from { 0 } else { state.leading_spaces - dropped };
}

fn push_replaced(piece: &str, mark: &str, bytes: &mut Vec<u8>) {
    for (i, part) in piece.split(mark).enumerate() {
        if i > 0 {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(part.as_bytes());
    }
}

/// A piece in GPT-2's alphabet as bytes; a piece with characters outside it stands for itself.
fn push_byte_level(piece: &str, bytes: &mut Vec<u8>) {
    let from = bytes.len();
    for character in piece.chars() {
        match byte_of_character(character) {
            Some(byte) => bytes.push(byte),
            None => {
                bytes.truncate(from);
                bytes.extend_from_slice(piece.as_bytes());
                return;
            }
        }
    }
}

/// GPT-2's alphabet backwards: printable bytes stand for themselves, the 68 others were moved, in
/// order, to the characters from U+0100 (`bytes_to_unicode` in GPT-2's `encoder.py`).
fn byte_of_character(character: char) -> Option<u8> {
    match character as u32 {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}
