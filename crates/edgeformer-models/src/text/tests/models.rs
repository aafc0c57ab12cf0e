//! Whole models: both forms of one tokenizer, marks, and how texts begin and end.

use super::gguf_path;
use crate::gguf::Gguf;
use crate::text::{AddSpecial, Tokenizer};

fn open(name: &str) -> Option<Tokenizer> {
    let gguf = Gguf::open(&gguf_path(name)?).unwrap();
    Some(Tokenizer::from_gguf(&gguf).unwrap().unwrap())
}

#[test]
fn both_forms_of_stories_agree() {
    let Some(folder) = edgeformer_conformance::shared("models/stories260k") else { return };
    let gguf = Gguf::open(&folder.join("stories260k-f32.gguf")).unwrap();
    let gguf = Tokenizer::from_gguf(&gguf).unwrap().unwrap();
    let hf = Tokenizer::from_folder(&folder.join("hf")).unwrap().unwrap();
    assert_eq!(gguf.vocabulary_size(), hf.vocabulary_size());
    for text in ["Once upon a time, there was a", "", " ", "Zoë's 🦙\n\tran.", "a  b   c"] {
        let ids = gguf.encode(text, AddSpecial::AsModel, false).unwrap();
        assert_eq!(ids, hf.encode(text, AddSpecial::AsModel, false).unwrap(), "{text:?}");
        assert_eq!(ids[0], 1);
        assert_eq!(gguf.decode(&ids, true).unwrap(), text);
        assert_eq!(hf.decode(&ids, true).unwrap(), text);
    }
    for tokenizer in [gguf, hf] {
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
        assert_eq!(tokenizer.end_tokens(), [2]);
        assert_eq!(tokenizer.piece(1), Some("<s>"));
        assert!(tokenizer.is_control(1) && !tokenizer.is_control(300));
        assert_eq!(tokenizer.token_bytes(3 + 0xF0), [0xF0]);
        assert!(tokenizer.check_vocabulary(512).is_ok());
        let error = tokenizer.check_vocabulary(511).unwrap_err().to_string();
        assert!(error.contains("ids up to 511, but the model knows only 511"), "{error}");
    }
}

#[test]
fn marks_are_marks_only_where_wanted() {
    let Some(phi) = open("phi-3") else { return };
    let mark = phi.token_id("<|end|>").unwrap();
    assert!(phi.end_tokens().contains(&mark));
    let text = "<|user|>\nHi<|end|>\n";
    let parsed = phi.encode(text, AddSpecial::AsModel, true).unwrap();
    assert_eq!(parsed.iter().filter(|id| phi.is_control(**id)).count(), 3);
    assert_eq!(phi.decode(&parsed, true).unwrap(), "Hi");
    let plain = phi.encode(text, AddSpecial::Never, false).unwrap();
    assert!(!plain.iter().any(|id| phi.is_control(*id)));
    assert_eq!(phi.decode(&plain, true).unwrap(), text);
}

#[test]
fn texts_begin_and_end_as_the_model_wants() {
    let cases: [(&str, &[u32], &[u32]); 5] = [
        ("llama-spm", &[1], &[]),
        ("gpt-2", &[], &[]),
        ("deepseek-llm", &[100_000], &[]),
        ("bert-bge", &[101], &[102]),
        ("falcon", &[], &[]),
    ];
    for (name, before, after) in cases {
        let Some(tokenizer) = open(name) else { return };
        let plain = tokenizer.encode("Hello", AddSpecial::Never, false).unwrap();
        let full = tokenizer.encode("Hello", AddSpecial::AsModel, false).unwrap();
        assert_eq!(full, [before, plain.as_slice(), after].concat(), "{name}");
    }
}

#[test]
fn vocabularies_without_gold_keep_every_text() {
    for name in ["baichuan", "gpt-neox"] {
        let Some(tokenizer) = open(name) else { return };
        for text in ["Hello  world\n\n\tÜ 🦙", "", "                        x", "你好 123456"]
        {
            let ids = tokenizer.encode(text, AddSpecial::Never, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text, "{name}");
        }
    }
}
