//! What holds for every text and every sequence of tokens.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::gguf_path;
use crate::gguf::Gguf;
use crate::text::symbols::merge_all;
use crate::text::{AddSpecial, Tokenizer};

/// A token for every byte, and merges that make words and parts of characters.
static BYTE_LEVEL: LazyLock<Tokenizer> = LazyLock::new(|| {
    let alphabet: Vec<String> = (0..=255u8).map(|byte| letter(byte).to_string()).collect();
    let pairs =
        [("a", "b"), ("Ġ", "a"), ("Ã", "¤"), ("ð", "Ł"), ("ðŁ", "¦"), ("ab", "ab"), ("Ċ", "Ċ")];
    let merged = pairs.iter().map(|(left, right)| format!("{left}{right}"));
    let vocabulary: serde_json::Map<_, _> = alphabet
        .iter()
        .cloned()
        .chain(merged)
        .enumerate()
        .map(|(id, piece)| (piece, json!(id)))
        .collect();
    let file = json!({
        "added_tokens": [{"id": vocabulary.len(), "content": "<|end|>", "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": pairs},
    });
    Tokenizer::from_json_bytes(file.to_string().as_bytes(), None, Path::new("bytes")).unwrap()
});

/// The vocabularies of the fixtures that spell every text.
static REAL: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let open = |name: &&str| {
        let gguf = Gguf::open(&gguf_path(name)?).unwrap();
        Tokenizer::from_gguf(&gguf).unwrap()
    };
    ["llama-spm", "gpt-2", "deepseek-llm"].iter().filter_map(open).collect()
});

/// GPT-2's letter of a byte.
fn letter(byte: u8) -> char {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(&byte) {
        return byte as char;
    }
    let before = (0..byte).filter(|other| !printable(other)).count();
    char::from_u32(0x100 + before as u32).unwrap()
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], special: bool) -> String {
    let mut stream = if special { tokenizer.stream_with_special() } else { tokenizer.stream() };
    let mut text: String = ids.iter().map(|id| stream.push(*id).to_owned()).collect();
    text.push_str(stream.finish());
    text
}

/// The slow way: looks for the best pair, merges it, looks again.
fn merged_slowly(
    mut symbols: Vec<u32>,
    merge: impl Fn(u32, u32) -> Option<(u32, u32)>,
) -> Vec<u32> {
    loop {
        let best = (1..symbols.len())
            .filter_map(|i| Some((merge(symbols[i - 1], symbols[i])?, i - 1)))
            .max_by_key(|((priority, _), at)| (*priority, std::cmp::Reverse(*at)));
        let Some(((_, merged), at)) = best else { return symbols };
        symbols[at] = merged;
        symbols.remove(at + 1);
    }
}

proptest! {
    #[test]
    fn merging_by_queue_is_merging_by_search(
        symbols in prop::collection::vec(0..4u32, 0..40),
        table in prop::collection::hash_map((0..9u32, 0..9u32), (0..50u32, 0..9u32), 0..30),
    ) {
        // Every merge makes the word shorter, so both end.
        let merge = |left: u32, right: u32| table.get(&(left, right)).copied();
        let fast: Vec<u32> = merge_all(symbols.iter().copied(), merge).collect();
        prop_assert_eq!(fast, merged_slowly(symbols, merge));
    }

    #[test]
    fn byte_level_keeps_every_text(text in any::<String>()) {
        let ids = BYTE_LEVEL.encode(&text, AddSpecial::AsModel, false).unwrap();
        prop_assert_eq!(BYTE_LEVEL.decode(&ids, false).unwrap(), text);
    }

    #[test]
    fn streaming_is_decoding(ids in prop::collection::vec(0..BYTE_LEVEL.vocabulary_size() as u32, 0..60)) {
        for special in [false, true] {
            let text = BYTE_LEVEL.decode(&ids, !special).unwrap();
            prop_assert_eq!(streamed(&BYTE_LEVEL, &ids, special), &*text);
            let bytes: Vec<u8> = ids
                .iter()
                .filter(|id| special || !BYTE_LEVEL.is_control(**id))
                .flat_map(|id| BYTE_LEVEL.token_bytes(*id))
                .collect();
            prop_assert_eq!(String::from_utf8_lossy(&bytes), text);
        }
    }

    #[test]
    fn a_stream_goes_on_after_a_prompt(text in "[a-zé🦙 ]{0,20}", at in 0..20usize) {
        let ids = BYTE_LEVEL.encode(&text, AddSpecial::Never, false).unwrap();
        let at = at.min(ids.len());
        let mut before = BYTE_LEVEL.stream();
        let mut parts: String = ids[..at].iter().map(|id| before.push(*id).to_owned()).collect();
        let mut stream = BYTE_LEVEL.stream_after(&ids[..at]);
        parts.extend(ids[at..].iter().map(|id| stream.push(*id).to_owned()));
        prop_assert_eq!(parts, text);
    }

    #[test]
    fn real_vocabularies_keep_every_text(text in any::<String>()) {
        // SentencePiece writes a space like this.
        prop_assume!(!text.contains('\u{2581}'));
        for tokenizer in &*REAL {
            let ids = tokenizer.encode(&text, AddSpecial::Never, false).unwrap();
            prop_assert_eq!(&tokenizer.decode(&ids, false).unwrap(), &text);
            prop_assert_eq!(&streamed(tokenizer, &ids, true), &text);
        }
    }

    #[test]
    fn real_vocabularies_stream_what_they_decode(ids in prop::collection::vec(0..32000u32, 0..60)) {
        for tokenizer in &*REAL {
            let text = tokenizer.decode(&ids, true).unwrap();
            prop_assert_eq!(streamed(tokenizer, &ids, false), text);
        }
    }
}

#[test]
fn half_characters_wait_and_broken_ones_are_marked() {
    let mut stream = BYTE_LEVEL.stream();
    let id = |byte: u8| BYTE_LEVEL.token_id(&letter(byte).to_string()).unwrap();
    for byte in &"🦙".as_bytes()[..3] {
        assert_eq!(stream.push(id(*byte)), "");
    }
    assert_eq!(stream.push(id("🦙".as_bytes()[3])), "🦙");
    assert_eq!(stream.push(id(0xE2)), "");
    assert_eq!(stream.push(id(b'a')), "\u{FFFD}a");
    assert_eq!(stream.push(id(0xC3)), "");
    assert_eq!(stream.push(BYTE_LEVEL.vocabulary_size() as u32), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    assert_eq!(stream.finish(), "");
    let outside = BYTE_LEVEL.decode(&[70_000], true).unwrap_err();
    insta::assert_snapshot!(outside, @"token id 70000 is outside the vocabulary of 264 tokens");
}
