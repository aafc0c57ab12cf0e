//! Files with mistakes: each is one line that names the place.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::gguf::{Gguf, GgufWriter, MetadataArray};
use crate::text::Tokenizer;

fn valid() -> Value {
    json!({
        "added_tokens": [{"id": 3, "content": "</s>", "special": true}],
        "decoder": {"type": "ByteLevel"},
        "model": {
            "type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"],
            "unk_token": null,
        },
    })
}

fn json_error(change: impl FnOnce(&mut Value)) -> String {
    let mut file = valid();
    change(&mut file);
    error(&file.to_string())
}

fn error(json: &str) -> String {
    let path = Path::new("tokenizer.json");
    Tokenizer::from_json_bytes(json.as_bytes(), None, path).unwrap_err().to_string()
}

#[test]
fn mistakes_in_tokenizer_json() {
    assert!(
        Tokenizer::from_json_bytes(valid().to_string().as_bytes(), None, Path::new("x")).is_ok()
    );
    insta::assert_snapshot!(error(r#"{"model": {"vocab": "#), @"tokenizer.json: line 1, column 20: EOF while parsing a value");
    insta::assert_snapshot!(json_error(|f| f["model"]["merges"] = json!(["a c"])), @r#"tokenizer.json: model: the merge of "a" and "c" needs the token "c", which the vocabulary lacks"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["merges"] = json!(["b a"])), @r#"tokenizer.json: model: the merge of "b" and "a" needs the token "ba", which the vocabulary lacks"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["merges"] = json!(["ab"])), @r#"tokenizer.json: line 1, column 113: merge "ab" is not two pieces with a space between them"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["merges"] = json!([["a", "b", "c"]])), @"tokenizer.json: line 1, column 122: invalid length 3, expected two pieces");
    insta::assert_snapshot!(json_error(|f| f["model"]["vocab"]["c"] = json!(2)), @r#"tokenizer.json: line 1, column 180: id 2 belongs to both "ab" and "c""#);
    insta::assert_snapshot!(json_error(|f| f["model"]["vocab"]["c"] = json!(4_000_000_000u32)), @r#"tokenizer.json: model: token "c" has id 4000000000, but there are only 4 tokens"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["vocab"]["c"] = json!(-1)), @"tokenizer.json: line 1, column 180: invalid value: integer `-1`, expected u32");
    insta::assert_snapshot!(json_error(|f| f["model"]["vocab"]["x".repeat(70_000)] = json!(7)), @r#"tokenizer.json: line 1, column 70179: token "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… is 70000 bytes long; a token has at most 65535"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["unk_token"] = json!("?")), @r#"tokenizer.json: model: unk_token "?" is not in the vocabulary"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["type"] = json!("Other")), @r#"tokenizer.json: model: model type "Other" with a map as vocab is not supported: BPE, WordPiece and WordLevel with a map, Unigram with a list are"#);
    insta::assert_snapshot!(json_error(|f| f["model"]["type"] = json!("WordPiece")), @"tokenizer.json: model: WordPiece needs an unk_token");
    insta::assert_snapshot!(json_error(|f| f["decoder"] = json!({"type": "CTC"})), @"tokenizer.json: line 1, column 82: unknown variant `CTC`, expected one of `ByteLevel`, `WordPiece`, `Metaspace`, `BPEDecoder`, `Sequence`, `Replace`, `ByteFallback`, `Fuse`, `Strip`");
    insta::assert_snapshot!(json_error(|f| f["decoder"] = json!({"type": "Strip", "content": "x", "start": 1, "stop": 0})), @"tokenizer.json: decoder: decoder step Strip is not supported here");
    insta::assert_snapshot!(json_error(|f| f["added_tokens"][0]["content"] = json!("a")), @r#"tokenizer.json: model: tokens 0 and 3 are both "a""#);
    insta::assert_snapshot!(json_error(|f| f["post_processor"] = json!({
        "type": "BertProcessing", "cls": ["[CLS]", 90], "sep": ["[SEP]", 91],
    })), @"tokenizer.json: post_processor: adds token id 90, which the vocabulary lacks");
    insta::assert_snapshot!(json_error(|f| f["pre_tokenizer"] = json!({
        "type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false,
    })), @"tokenizer.json: line 1, column 270: Parsing error at position 1: Opening parenthesis without closing parenthesis");
}

#[test]
fn config_names_the_marks() {
    let config = br#"{"bos_token": {"content": "a"}, "eos_token": "</s>", "add_bos_token": true}"#;
    let json = valid().to_string();
    let path = Path::new("tokenizer.json");
    let tokenizer = Tokenizer::from_json_bytes(json.as_bytes(), Some(config), path).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), Some(3)));
    let ids = tokenizer.encode("b", crate::text::AddSpecial::AsModel, false).unwrap();
    assert_eq!(ids, [0, 1]);
    let broken = Tokenizer::from_json_bytes(json.as_bytes(), Some(b"[]"), path);
    assert!(broken.is_err());
}

struct GgufFile {
    model: &'static str,
    tokens: Vec<&'static str>,
    types: Vec<i32>,
    scores: Vec<f32>,
    merges: Vec<&'static str>,
    eos: u32,
    pre: &'static str,
}

fn gguf_error(model: &'static str, change: impl FnOnce(&mut GgufFile)) -> String {
    let mut file = GgufFile {
        model,
        tokens: vec!["<unk>", "a", "b", "ab"],
        types: vec![2, 1, 1, 1],
        scores: vec![0.0; 4],
        merges: vec!["a b"],
        eos: 0,
        pre: "gpt-2",
    };
    change(&mut file);
    let mut writer = GgufWriter::new();
    writer
        .metadata("tokenizer.ggml.model", file.model)
        .metadata("tokenizer.ggml.pre", file.pre)
        .metadata("tokenizer.ggml.tokens", MetadataArray::strings(&file.tokens))
        .metadata("tokenizer.ggml.token_type", &file.types[..])
        .metadata("tokenizer.ggml.eos_token_id", file.eos);
    if !file.scores.is_empty() {
        writer.metadata("tokenizer.ggml.scores", &file.scores[..]);
    }
    if !file.merges.is_empty() {
        writer.metadata("tokenizer.ggml.merges", MetadataArray::strings(&file.merges));
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).unwrap();
    let gguf = Gguf::from_bytes("m.gguf", Bytes::from(bytes)).unwrap();
    match Tokenizer::from_gguf(&gguf) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn mistakes_in_gguf() {
    for model in ["llama", "gpt2", "bert"] {
        assert_eq!(gguf_error(model, |_| {}), if model == "bert" { BERT } else { "no error" });
    }
    insta::assert_snapshot!(gguf_error("rwkv", |_| {}), @r#"m.gguf: key "tokenizer.ggml.model": is "rwkv"; known are "llama", "gpt2" and "bert""#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.pre = "unheard-of"), @r#"m.gguf: key "tokenizer.ggml.pre": pre-tokenizer "unheard-of" is not known here: use the model's Hugging Face folder"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.merges = vec!["a c"]), @r#"m.gguf: key "tokenizer.ggml.merges": the merge of "a" and "c" needs the token "c", which the vocabulary lacks"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.merges = vec!["ab"]), @r#"m.gguf: key "tokenizer.ggml.merges": merge "ab" is not two pieces with a space between them"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.merges.clear()), @r#"m.gguf: key "tokenizer.ggml.merges": is missing: convert the model with a tool that writes this key"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.tokens[2] = "a"), @r#"m.gguf: key "tokenizer.ggml.tokens": tokens 1 and 2 are both "a""#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.types[2] = 9), @r#"m.gguf: key "tokenizer.ggml.token_type": type 9 of token 2 is unknown: 1 to 6 are known"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.types.push(1)), @r#"m.gguf: key "tokenizer.ggml.token_type": has 5 entries for 4 tokens: the file is damaged"#);
    insta::assert_snapshot!(gguf_error("gpt2", |f| f.eos = 4), @r#"m.gguf: key "tokenizer.ggml.eos_token_id": is 4, past the 4 tokens"#);
    insta::assert_snapshot!(gguf_error("llama", |f| f.scores.push(1.0)), @r#"m.gguf: key "tokenizer.ggml.scores": has 5 entries for 4 tokens: the file is damaged"#);
    insta::assert_snapshot!(gguf_error("llama", |f| f.scores[1] = f32::NAN), @r#"m.gguf: key "tokenizer.ggml.scores": score 1 is not a number"#);
    insta::assert_snapshot!(gguf_error("llama", |f| f.scores.clear()), @r#"m.gguf: key "tokenizer.ggml.scores": is missing: convert the model with a tool that writes this key"#);
}

/// WordPiece has no unknown token at 100 here.
const BERT: &str =
    "m.gguf: key \"tokenizer.ggml.unknown_token_id\": is missing: WordPiece needs it";

#[test]
fn no_tokenizer_is_no_error() {
    let mut bytes = Vec::new();
    GgufWriter::new().metadata("general.name", "x").write_to(&mut bytes).unwrap();
    let gguf = Gguf::from_bytes("m.gguf", Bytes::from(bytes)).unwrap();
    assert!(Tokenizer::from_gguf(&gguf).unwrap().is_none());
}
