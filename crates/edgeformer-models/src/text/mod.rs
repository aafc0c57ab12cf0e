//! Text: tokenizers, chat templates, and text from tokens as they come.
//!
//! The pipeline is that of Hugging Face's `tokenizers`, whose normalizers, pre-tokenizers and
//! recognition of added tokens are used as they are: added tokens are cut out of the text, the
//! rest is normalised, cut into words, and every word into tokens. The vocabulary and the
//! algorithms over it are ours, so that 150,000 tokens cost megabytes and not tens of them.

mod algorithm;
mod bpe;
mod decoder;
mod index;
mod load;
mod pre_tokenizer;
mod save;
mod sentencepiece;
mod specials;
mod stream;
mod symbols;
mod template;
mod tokenizer;
mod vocabulary;
mod vocabulary_builder;
mod wordpiece;

pub(crate) use save::TokenizerKeys;
pub use stream::TextStream;
pub use template::{ChatTemplate, Message, Variables};
pub use tokenizer::{AddSpecial, Tokenizer};

#[cfg(test)]
mod tests;
