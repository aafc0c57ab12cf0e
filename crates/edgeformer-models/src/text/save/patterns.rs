//! Which of llama.cpp's names stands for a pre-tokenizer.

use serde_json::Value;
use tokenizers::PreTokenizerWrapper;

use crate::text::pre_tokenizer::{GPT2, Named};

/// A name for each way of cutting words, the usual first.
const NAMES: [&str; 19] = [
    "gpt-2",
    "llama-bpe",
    "qwen2",
    "smaug-bpe",
    "deepseek-v3",
    "deepseek-llm",
    "deepseek-coder",
    "starcoder",
    "falcon",
    "tekken",
    "gpt-4o",
    "qwen35",
    "seed-coder",
    "bailingmoe",
    "bloom",
    "viking",
    "chameleon",
    "roberta-bpe",
    "default",
];

/// All names, those first that cut by the same patterns and treat whole words alike.
pub(super) fn candidates(
    pre_tokenizer: Option<&PreTokenizerWrapper>,
    whole_words: bool,
) -> Vec<&'static str> {
    let section = pre_tokenizer.and_then(|section| serde_json::to_value(section).ok());
    let mut patterns = Vec::new();
    if let Some(section) = &section {
        collect(section, &mut patterns);
    }
    let unlike = |name: &&str| {
        let Ok(named) = Named::find(name) else { return (true, true) };
        (named.patterns() != patterns.as_slice(), named.whole_words != whole_words)
    };
    let mut names = NAMES.to_vec();
    names.sort_by_key(unlike);
    names
}

/// The patterns of a section, in the order in which they cut.
fn collect<'a>(section: &'a Value, patterns: &mut Vec<&'a str>) {
    match section["type"].as_str() {
        Some("Sequence") => {
            let steps = section["pretokenizers"].as_array();
            steps.into_iter().flatten().for_each(|step| collect(step, patterns));
        }
        Some("Split") => patterns.extend(section["pattern"]["Regex"].as_str()),
        Some("ByteLevel") if section["use_regex"] != false => patterns.push(GPT2),
        Some("Digits") if section["individual_digits"] == true => patterns.push(r"\p{N}"),
        Some("Digits") => patterns.push(r"\p{N}+"),
        _ => {}
    }
}
