//! Tokenizers from GGUF files and `tokenizer.json`, and chat templates.

use std::path::Path;

use bytes::Bytes;
use edgeformer_models::Result;
use edgeformer_models::gguf::{Gguf, GgufWriter, MetadataArray};
use edgeformer_models::text::{AddSpecial, ChatTemplate, Message, Tokenizer, Variables};

use crate::containers::written;
use crate::targets::Target;

/// What automata of added tokens and patterns of words may take.
const SLACK: usize = 2 << 20;

/// Letters, digits, marks, a character of several bytes, and white space.
const TEXT: &str = "ab <s>abc</s> wör 12\t\n\u{1f600}";

pub fn targets() -> Vec<Target> {
    let target = |name: &str, seeds, read: fn(&Bytes) -> Result<()>| Target {
        name: name.into(),
        seeds,
        read: Box::new(read),
        mutations: 10_000,
        slack: SLACK,
    };
    vec![
        target("tokenizers in gguf", vec![sentencepiece(), byte_level(), wordpiece()], |file| {
            let file = Gguf::from_bytes("model.gguf", file.clone())?;
            Tokenizer::from_gguf(&file)?.as_ref().map_or(Ok(()), use_tokenizer)
        }),
        target("tokenizer.json", JSON.map(Vec::from).to_vec(), |file| {
            use_tokenizer(&Tokenizer::from_json_bytes(file, None, Path::new("tokenizer.json"))?)
        }),
        target("tokenizer_config.json", vec![CONFIG.into()], |file| {
            let path = Path::new("tokenizer.json");
            use_tokenizer(&Tokenizer::from_json_bytes(JSON[0], Some(file), path)?)
        }),
        target("chat templates", TEMPLATES.map(Vec::from).to_vec(), |file| {
            let source = String::from_utf8_lossy(file);
            let template = ChatTemplate::new(&source, "<s>", "</s>")?;
            let messages = [Message::new("system", "Be brief."), Message::new("user", TEXT)];
            template.render(&messages, true, &Variables::new()).map(drop)
        }),
    ]
}

/// Encodes and decodes, which must be no danger with whatever was read.
fn use_tokenizer(tokenizer: &Tokenizer) -> Result<()> {
    for parse_special in [false, true] {
        let ids = tokenizer.encode(TEXT, AddSpecial::AsModel, parse_special)?;
        tokenizer.decode(&ids, parse_special)?;
    }
    let mut stream = tokenizer.stream();
    for id in 0..tokenizer.vocabulary_size().min(100) as u32 {
        stream.push(id);
        tokenizer.token_bytes(id);
    }
    Ok(())
}

fn vocabulary(model: &str, tokens: &[&str], types: &[i32]) -> GgufWriter<'static> {
    let mut writer = GgufWriter::new();
    writer
        .metadata("tokenizer.ggml.model", model.to_owned())
        .metadata("tokenizer.ggml.tokens", MetadataArray::strings(tokens))
        .metadata("tokenizer.ggml.token_type", types);
    writer
}

fn sentencepiece() -> Vec<u8> {
    let tokens = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab"];
    let mut writer = vocabulary("llama", &tokens, &[2, 3, 3, 6, 1, 1, 1, 1, 1, 4]);
    let scores: Vec<f32> = (0..tokens.len()).map(|i| -(i as f32)).collect();
    writer
        .metadata("tokenizer.ggml.scores", &scores[..])
        .metadata("tokenizer.ggml.bos_token_id", 1u32)
        .metadata("tokenizer.ggml.eos_token_id", 2u32)
        .metadata("tokenizer.ggml.unknown_token_id", 0u32)
        .metadata("tokenizer.ggml.add_bos_token", true);
    written(&writer)
}

fn byte_level() -> Vec<u8> {
    let tokens = ["a", "b", "c", "Ġ", "ab", "Ġa", "<s>", "</s>", "1", "Ċ"];
    let mut writer = vocabulary("gpt2", &tokens, &[1, 1, 1, 1, 1, 1, 3, 3, 1, 1]);
    writer
        .metadata("tokenizer.ggml.pre", "gpt-2")
        .metadata("tokenizer.ggml.merges", MetadataArray::strings(["a b", "Ġ a"]))
        .metadata("tokenizer.ggml.bos_token_id", 6u32)
        .metadata("tokenizer.ggml.eos_token_id", 7u32);
    written(&writer)
}

fn wordpiece() -> Vec<u8> {
    let tokens = ["[UNK]", "[CLS]", "[SEP]", "▁a", "▁ab", "b", "c", "▁1"];
    let mut writer = vocabulary("bert", &tokens, &[3, 3, 3, 1, 1, 1, 1, 1]);
    writer
        .metadata("tokenizer.ggml.unknown_token_id", 0u32)
        .metadata("tokenizer.ggml.cls_token_id", 1u32)
        .metadata("tokenizer.ggml.seperator_token_id", 2u32);
    written(&writer)
}

const JSON: [&[u8]; 3] = [
    br#"{"added_tokens":[{"id":5,"content":"<s>","special":true,"normalized":false}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]},
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[5],"tokens":["<s>"]}}},
"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
"model":{"type":"BPE","unk_token":"a","vocab":{"a":0,"b":1,"ab":2,"c":3,"abc":4},"merges":["a b",["ab","c"]]}}"#,
    br###"{"added_tokens":[{"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true,"lstrip":true},{"id":2,"content":"[SEP]","special":true,"rstrip":true,"single_word":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"##b":4,"ab":5}}}"###,
    br#"{"added_tokens":[],
"normalizer":{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "},
"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
"decoder":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
"model":{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0.0],["\u2581",-1.5],["a",-2.0],["ab",-2.5],["\u2581ab",-3.0]]}}"#,
];

const CONFIG: &[u8] = br#"{"bos_token":"<s>","eos_token":{"__type":"AddedToken","content":"abc"},"add_bos_token":true,"add_eos_token":false,"chat_template":[{"name":"default","template":"{{ messages }}"}],"tokenizer_class":"X"}"#;

const TEMPLATES: [&[u8]; 2] = [
    include_bytes!("../data/templates/llama3.jinja"),
    include_bytes!("../data/templates/qwen25.jinja"),
];
