//! The tokens that stand outside a text's letters.

use std::collections::HashMap;

use tokenizers::models::wordlevel::WordLevel;
use tokenizers::{AddedToken, AddedVocabulary, NormalizerWrapper};

use super::tokenizer::AddedTokens;
use super::vocabulary::Problem;

/// Marks that end an answer in the chat formats in use. A model's files name only one of theirs
/// as the end token, or none.
pub(super) const END_MARKS: [&str; 12] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "<|EOT|>",
    "_<EOT>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<end_of_utterance>",
];

impl AddedTokens {
    /// Recognises these tokens, given with their ids.
    pub fn new(
        tokens: Vec<(AddedToken, u32)>,
        normalizer: Option<&NormalizerWrapper>,
    ) -> Result<Self, Problem> {
        // `AddedVocabulary` asks a model for the ids.
        let ids = tokens.iter().map(|(token, id)| (token.content.clone(), *id));
        let ids = WordLevel::builder()
            .vocab(ids.collect::<HashMap<_, _>>().into_iter().collect())
            .build()
            .map_err(|e| e.to_string())?;
        let mut all = AddedVocabulary::new();
        all.add_tokens(tokens.into_iter().map(|(token, _)| token), &ids, normalizer)
            .map_err(|e| e.to_string())?;
        let mut words = all.clone();
        words.set_encode_special_tokens(true);
        Ok(Self { all, words })
    }
}
