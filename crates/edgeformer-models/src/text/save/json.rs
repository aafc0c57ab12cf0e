//! A tokenizer as a `tokenizer.json`.

use serde_json::{Map, Value, json};

use super::scores;
use crate::text::algorithm::Algorithm;
use crate::text::decoder::{Decoder, SPACE_MARK, WordMarks};
use crate::text::tokenizer::Parts;
use crate::text::vocabulary::{Kind, Vocabulary};

/// The file; what is wrong if a tokenizer of its kind is not written.
pub(super) fn file(parts: &Parts) -> Result<Value, String> {
    let section = |section: Result<Value, serde_json::Error>| section.map_err(|e| e.to_string());
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(parts),
        "normalizer": section(serde_json::to_value(&parts.normalizer))?,
        "pre_tokenizer": spelled(section(serde_json::to_value(&parts.pre_tokenizer))?),
        "post_processor": post_processor(parts),
        "decoder": decoder(&parts.decoder)?,
        "model": model(parts)?,
    }))
}

/// A section whose patterns spell their characters: `\u{…}` is not read by the library's engine.
fn spelled(mut section: Value) -> Value {
    match &mut section {
        Value::Array(list) => list.iter_mut().for_each(|value| *value = spelled(value.take())),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                *value = match (key.as_str(), value.take()) {
                    ("Regex", Value::String(pattern)) => literal(&pattern).into(),
                    (_, value) => spelled(value),
                };
            }
        }
        _ => {}
    }
    section
}

/// A pattern with the characters that it names by number.
fn literal(pattern: &str) -> String {
    let mut parts = pattern.split("\\u{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once('}').and_then(|(number, rest)| {
            let character = u32::from_str_radix(number, 16).ok().and_then(char::from_u32)?;
            Some((character, rest))
                .filter(|(character, _)| character.is_alphanumeric() || !character.is_ascii())
        });
        match named {
            Some((character, rest)) => {
                text.push(character);
                text.push_str(rest);
            }
            None => {
                text.push_str("\\u{");
                text.push_str(part);
            }
        }
    }
    text
}

fn added_tokens(parts: &Parts) -> Vec<Value> {
    let mut tokens: Vec<_> = parts.added.all.get_added_tokens_decoder().iter().collect();
    tokens.sort_by_key(|(id, _)| **id);
    let entry = |(id, token): (&u32, &tokenizers::AddedToken)| {
        json!({
            "id": id,
            "content": token.content,
            "single_word": token.single_word,
            "lstrip": token.lstrip,
            "rstrip": token.rstrip,
            "normalized": token.normalized,
            "special": token.special,
        })
    };
    tokens.into_iter().map(entry).collect()
}

/// The marks around a text.
fn post_processor(parts: &Parts) -> Value {
    if parts.before.is_empty() && parts.after.is_empty() {
        return Value::Null;
    }
    let mark = |id: &u32, segment: u32| json!({"SpecialToken": {"id": parts.vocabulary.piece(*id), "type_id": segment}});
    let around = |name: &str, segment: u32, before: &[u32]| {
        let before = before.iter().map(|id| mark(id, segment));
        let text = json!({"Sequence": {"id": name, "type_id": segment}});
        let after = parts.after.iter().map(|id| mark(id, segment));
        before.chain([text]).chain(after).collect::<Vec<_>>()
    };
    let single = around("A", 0, &parts.before);
    // BERT's second text follows the separator of the first; that of others begins anew.
    let wordpiece = matches!(parts.algorithm, Algorithm::WordPiece(_));
    let second = around("B", 1, if wordpiece { &[] } else { &parts.before });
    let pair: Vec<Value> = single.iter().cloned().chain(second).collect();
    let special: Map<String, Value> = parts
        .before
        .iter()
        .chain(&parts.after)
        .map(|&id| {
            let piece = parts.vocabulary.piece(id);
            (piece.to_owned(), json!({"id": piece, "ids": [id], "tokens": [piece]}))
        })
        .collect();
    json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special,
    })
}

fn decoder(decoder: &Decoder) -> Result<Value, String> {
    match decoder {
        Decoder::ByteLevel => Ok(json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        })),
        Decoder::WordPiece { clean_up, .. } => {
            Ok(json!({"type": "WordPiece", "prefix": "##", "cleanup": clean_up}))
        }
        Decoder::Marked { leading_spaces, bytes } => {
            let spaces = json!({
                "type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " ",
            });
            let fallback = bytes.then(|| json!({"type": "ByteFallback"}));
            let strip = (*leading_spaces > 0).then(
                || json!({"type": "Strip", "content": " ", "start": leading_spaces, "stop": 0}),
            );
            let steps: Vec<Value> = [Some(spaces), fallback, Some(json!({"type": "Fuse"})), strip]
                .into_iter()
                .flatten()
                .collect();
            Ok(json!({"type": "Sequence", "decoders": steps}))
        }
        Decoder::WordEnd(_) | Decoder::Words => Err("its decoder is not written".into()),
    }
}

fn model(parts: &Parts) -> Result<Value, String> {
    let vocabulary = &parts.vocabulary;
    let piece = |id: u32| vocabulary.piece(id);
    match &parts.algorithm {
        Algorithm::Bpe(bpe) => {
            let options = bpe.options();
            let merges: Vec<_> =
                bpe.merges().map(|(left, right, _)| [piece(left), piece(right)]).collect();
            Ok(bpe_section(
                vocabulary,
                &merges,
                options.unknown,
                options.byte_fallback,
                options.whole_words,
            ))
        }
        Algorithm::SentencePiece(pieces) => {
            let merges: Vec<_> = scores::merges(pieces, vocabulary)
                .into_iter()
                .map(|(left, right)| [left, right])
                .collect();
            let bytes = vocabulary.byte_tokens().is_some();
            Ok(bpe_section(vocabulary, &merges, pieces.unknown(), bytes, false))
        }
        Algorithm::WordPiece(pieces) => Ok(json!({
            "type": "WordPiece",
            "unk_token": wordpiece_spelling(&pieces.marks, vocabulary, pieces.unknown),
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": pieces.longest_word.min(100),
            "vocab": vocab(vocabulary, |id| wordpiece_spelling(&pieces.marks, vocabulary, id)),
        })),
        Algorithm::WholeWords { .. } | Algorithm::Unigram(_) => {
            Err("its algorithm is not written".into())
        }
    }
}

fn bpe_section(
    vocabulary: &Vocabulary,
    merges: &[[&str; 2]],
    unknown: Option<u32>,
    byte_fallback: bool,
    whole_words: bool,
) -> Value {
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown.map(|id| vocabulary.piece(id)),
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": unknown.is_some() && byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": whole_words,
        "vocab": vocab(vocabulary, |id| vocabulary.piece(id).to_owned()),
        "merges": merges,
    })
}

/// Pieces to ids. Ids in reserve behind the last token are left to the embedding table.
fn vocab(vocabulary: &Vocabulary, spelling: impl Fn(u32) -> String) -> Map<String, Value> {
    let used = |id: &u32| !matches!(vocabulary.kind(*id), Kind::Absent | Kind::Unused);
    let len = (0..vocabulary.len() as u32).rev().find(used).map_or(0, |last| last + 1);
    let present = (0..len).filter(|id| vocabulary.kind(*id) != Kind::Absent);
    present.map(|id| (spelling(id), json!(id))).collect()
}

/// BERT's own spelling: continuations begin with `##`.
fn wordpiece_spelling(marks: &WordMarks, vocabulary: &Vocabulary, id: u32) -> String {
    let piece = vocabulary.piece(id);
    let special = vocabulary.kind(id).is_control();
    match marks {
        WordMarks::Beginning if !special => match piece.strip_prefix(SPACE_MARK) {
            Some(word) => word.to_owned(),
            None => format!("##{piece}"),
        },
        _ => piece.to_owned(),
    }
}
