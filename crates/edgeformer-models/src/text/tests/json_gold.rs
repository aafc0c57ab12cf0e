//! Token ids and texts as Hugging Face's library makes them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::text::{AddSpecial, Tokenizer};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    #[serde(flatten)]
    tokenizers: HashMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<u32>>,
    decoded: Vec<String>,
}

fn check(tokenizer: &Tokenizer, name: &str) {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../tests/data/ids.json")).unwrap();
    let expected = &golden.tokenizers[name];
    for (i, text) in golden.texts.iter().enumerate() {
        let ids = tokenizer.encode(text, AddSpecial::AsModel, true).unwrap();
        assert_eq!(ids, expected.ids[i], "{name}: {text:?}");
        let decoded = tokenizer.decode(&ids, true).unwrap();
        assert_eq!(decoded, expected.decoded[i], "{name}: {text:?}");
    }
}

#[test]
fn folders_agree_with_the_library() {
    let Some(folder) = edgeformer_conformance::shared("fixtures/tokenizers-json") else { return };
    for name in ["gpt2", "gpt-neox-20b", "bert-base-uncased"] {
        let tokenizer = Tokenizer::from_folder(&folder.join(name)).unwrap().unwrap();
        check(&tokenizer, name);
    }
}

#[test]
fn two_files_are_one() {
    let Some(folder) = edgeformer_conformance::shared("fixtures/tokenizers-json/gpt2") else {
        return;
    };
    let parts = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(folder.join(name), parts.path().join(name)).unwrap();
    }
    let tokenizer = Tokenizer::from_folder(parts.path()).unwrap().unwrap();
    check(&tokenizer, "gpt2");
    let empty = tempfile::tempdir().unwrap();
    assert!(Tokenizer::from_folder(empty.path()).unwrap().is_none());
}
