//! A tokenizer from whatever a Hugging Face folder holds.

use std::path::Path;

use serde_json::json;

use super::config::Config;
use super::json::{parse, read};
use crate::text::Tokenizer;
use crate::{Error, Result};

impl Tokenizer {
    /// The tokenizer of a Hugging Face folder, `None` where it has none: `tokenizer.json`, or
    /// the older `vocab.json` with `merges.txt` (GPT-2's byte-level BPE), or `vocab.txt` (BERT's
    /// WordPiece), with `tokenizer_config.json` where there is one.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let config = Config::of_folder(folder)?;
        let whole = folder.join("tokenizer.json");
        if whole.is_file() {
            let file = parse(&read(&whole)?, &whole)?;
            return Self::assemble(file, &config, &whole).map(Some);
        }
        let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        if vocabulary.is_file() && merges.is_file() {
            return Self::from_vocabulary_and_merges(&vocabulary, &merges, &config).map(Some);
        }
        let words = folder.join("vocab.txt");
        if words.is_file() {
            return Self::from_words(&words, &config).map(Some);
        }
        Ok(None)
    }

    /// GPT-2's two files: its `tokenizer.json` in two parts.
    fn from_vocabulary_and_merges(
        vocabulary: &Path,
        merges: &Path,
        config: &Config,
    ) -> Result<Self> {
        let ids: serde_json::Map<String, serde_json::Value> =
            parse(&read(vocabulary)?, vocabulary)?;
        let lines = text(merges)?;
        let lines: Vec<&str> = lines
            .lines()
            .filter(|line| !line.starts_with("#version") && !line.is_empty())
            .collect();
        let special = ["<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>"];
        let special = special.iter().filter_map(|word| Some((*word, ids.get(*word)?)));
        let file = json!({
            "added_tokens": special.map(|(word, id)| added(word, id)).collect::<Vec<_>>(),
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": ids, "merges": lines},
        });
        Self::assemble(parse(file.to_string().as_bytes(), vocabulary)?, config, vocabulary)
    }

    /// BERT's list of words: the id is the number of the line.
    fn from_words(path: &Path, config: &Config) -> Result<Self> {
        let words = text(path)?;
        let ids: serde_json::Map<_, _> =
            words.lines().enumerate().map(|(id, word)| (word.to_owned(), json!(id))).collect();
        if ids.len() != words.lines().count() {
            return Err(Error::format(path, "lines", "the same word stands on two of them"));
        }
        let line = |word: &str| {
            let missing = || Error::format(path, word, "is missing: this is no vocabulary of BERT");
            ids.get(word).ok_or_else(missing)
        };
        let (begin, end) = (line("[CLS]")?, line("[SEP]")?);
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let special = special.iter().filter_map(|word| Some((*word, ids.get(*word)?)));
        let file = json!({
            "added_tokens": special.map(|(word, id)| added(word, id)).collect::<Vec<_>>(),
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": config.do_lower_case.unwrap_or(true),
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "BertProcessing", "cls": ["[CLS]", begin], "sep": ["[SEP]", end],
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": ids,
            },
        });
        Self::assemble(parse(file.to_string().as_bytes(), path)?, config, path)
    }
}

fn added(word: &str, id: &serde_json::Value) -> serde_json::Value {
    json!({"content": word, "id": id, "special": true})
}

fn text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|error| {
        let place = format!("byte {}", error.utf8_error().valid_up_to());
        Error::format(path, place, "is not UTF-8: the file is damaged")
    })
}
