//! Text from tokens as they come, never half a character.

use std::sync::Arc;

use super::decoder::DecoderState;
use super::tokenizer::Parts;
use super::vocabulary::Kind;

/// Turns tokens into text one at a time. The parts together are what [`Tokenizer::decode`] makes
/// of all tokens at once.
///
/// [`Tokenizer::decode`]: super::Tokenizer::decode
#[derive(Clone)]
pub struct TextStream {
    parts: Arc<Parts>,
    state: DecoderState,
    skip_special: bool,
    /// Bytes that do not make a character yet: at most three between two calls.
    pending: Vec<u8>,
    text: String,
}

impl TextStream {
    pub(super) fn new(parts: Arc<Parts>, skip_special: bool) -> Self {
        let state = parts.decoder.start();
        Self { parts, state, skip_special, pending: Vec::new(), text: String::new() }
    }

    /// The text that is complete with this token: often a word, nothing while a character is
    /// still in parts. Invalid bytes become U+FFFD. Ids without a token add nothing.
    pub fn push(&mut self, id: u32) -> &str {
        self.text.clear();
        let kind = self.parts.vocabulary.kind(id);
        if kind != Kind::Absent && !(self.skip_special && kind.is_control()) {
            let Parts { decoder, vocabulary, .. } = &*self.parts;
            decoder.push(vocabulary, id, &mut self.state, &mut self.pending);
            take_characters(&mut self.pending, &mut self.text);
        }
        &self.text
    }

    /// The rest: U+FFFD if the last character never became whole. The stream then begins anew.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        if !self.pending.is_empty() {
            self.pending.clear();
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.state = self.parts.decoder.start();
        &self.text
    }
}

/// Moves all whole characters from `pending` to `text`. What can never become a character is
/// replaced by U+FFFD, one for each maximal invalid part, as `String::from_utf8_lossy` does.
fn take_characters(pending: &mut Vec<u8>, text: &mut String) {
    let mut taken = 0;
    for chunk in pending.utf8_chunks() {
        text.push_str(chunk.valid());
        taken += chunk.valid().len();
        let invalid = chunk.invalid();
        if invalid.is_empty() || can_continue(invalid, taken + invalid.len() == pending.len()) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        taken += invalid.len();
    }
    pending.drain(..taken);
}

/// Whether these last bytes are the beginning of a character.
fn can_continue(bytes: &[u8], last: bool) -> bool {
    last && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
