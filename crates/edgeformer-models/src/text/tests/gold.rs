//! Token ids as llama.cpp's `test-tokenizer-0` writes them.

use super::{WITH_GOLD, gguf_path, texts};
use crate::gguf::Gguf;
use crate::text::{AddSpecial, Tokenizer};

fn check(name: &str) {
    let Some(path) = gguf_path(name) else { return };
    let gguf = Gguf::open(&path).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap().expect("the file has a tokenizer");
    let read = |end: &str| {
        std::fs::read_to_string(path.with_file_name(format!("ggml-vocab-{name}.gguf{end}")))
            .unwrap()
    };
    let (inp, out) = (read(".inp"), read(".out"));
    let inp = texts(&inp);
    let out: Vec<&str> = out.lines().collect();
    assert_eq!(inp.len(), out.len(), "{name}");
    let lossless = name != "bert-bge";
    for (text, line) in inp.iter().zip(out) {
        let gold: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let ids = tokenizer.encode(text, AddSpecial::Never, false).unwrap();
        assert_eq!(ids, gold, "{name}: {text:?}");
        let decoded = tokenizer.decode(&ids, false).unwrap();
        if lossless {
            assert_eq!(&decoded, text, "{name}");
        } else {
            let again = tokenizer.encode(&decoded, AddSpecial::Never, true).unwrap();
            assert_eq!(tokenizer.decode(&again, false).unwrap(), decoded, "{name}: {text:?}");
        }
    }
}

#[test]
fn ids_equal_llama_cpp() {
    for name in WITH_GOLD {
        check(name);
    }
}
