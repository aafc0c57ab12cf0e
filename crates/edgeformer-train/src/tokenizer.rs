//! A vocabulary from texts: byte-level BPE (Sennrich, Haddow, Birch 2016; over bytes as GPT-2 has it),
//! by the `tokenizers` crate.

use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_models::atomic::write_atomically;
use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, TokenizerBuilder};
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use crate::{Error, Result};

/// The token that ends a text, and begins one where nothing else does: GPT-2's.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Bytes, each a token of its own, and the mark of the end.
const SMALLEST: usize = 257;

/// A tokenizer to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BpeRequest {
    /// Texts, in UTF-8.
    pub files: Vec<PathBuf>,
    /// Tokens that the vocabulary has at most.
    pub vocabulary: usize,
    /// How often two tokens must stand beside each other to become one.
    pub min_frequency: u64,
    /// Whether every digit is a token of its own, as arithmetic wants it (SmolLM has it so).
    pub split_digits: bool,
    /// The folder that gets `tokenizer.json` and `tokenizer_config.json`.
    pub output: PathBuf,
}

/// Learns a vocabulary and writes it. Gives the number of its tokens.
///
/// # Errors
/// If a file is no text, or the vocabulary has no room for every byte.
pub fn train_bpe(request: &BpeRequest) -> Result<usize> {
    if request.vocabulary < SMALLEST {
        let problem = format!(
            "a vocabulary of {} has no room for every byte: {SMALLEST} tokens at least",
            request.vocabulary
        );
        return Err(Error::Request(problem));
    }
    let texts = request.files.iter().map(|file| text(file)).collect::<Result<Vec<_>>>()?;
    let failed = |error: tokenizers::Error| Error::file(&request.output, error.to_string());
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(pre_tokenizer(request.split_digits)))
    .with_post_processor(Some(PostProcessorWrapper::ByteLevel(bytes())))
    .with_decoder(Some(DecoderWrapper::ByteLevel(bytes())))
    .build()
    .map_err(failed)?;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(request.vocabulary)
        .min_frequency(request.min_frequency)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build();
    // Lines are words apart anyway, and a file of one piece would be counted by one thread.
    let lines = texts.iter().flat_map(|text| text.split_inclusive('\n'));
    tokenizer.train(&mut trainer, lines.collect::<Vec<_>>().into_iter()).map_err(failed)?;
    let written = tokenizer.to_string(true).map_err(failed)?;
    fs::create_dir_all(&request.output).map_err(|source| Error::io(&request.output, source))?;
    write(&request.output.join("tokenizer.json"), &written)?;
    let config = json!({
        "tokenizer_class": "GPT2TokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "add_bos_token": false,
        "add_prefix_space": false,
    });
    write(&request.output.join("tokenizer_config.json"), &format!("{config:#}\n"))?;
    Ok(tokenizer.get_vocab_size(true))
}

fn pre_tokenizer(split_digits: bool) -> PreTokenizerWrapper {
    let bytes = PreTokenizerWrapper::ByteLevel(bytes());
    match split_digits {
        true => {
            let digits = PreTokenizerWrapper::Digits(Digits::new(true));
            PreTokenizerWrapper::Sequence(Sequence::new(vec![digits, bytes]))
        }
        false => bytes,
    }
}

/// Bytes as they are: no space is put before a text.
fn bytes() -> ByteLevel {
    ByteLevel::new(false, false, true)
}

fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| Error::io(path, source))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::file(path, format!("is no UTF-8 from byte {at} on: convert it first"))
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, |out| out.write_all(text.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use edgeformer_models::text::{AddSpecial, Tokenizer};

    use super::*;

    fn request(folder: &Path, text: &str, vocabulary: usize) -> BpeRequest {
        let file = folder.join("text.txt");
        fs::write(&file, text).unwrap();
        BpeRequest {
            files: vec![file],
            vocabulary,
            min_frequency: 2,
            split_digits: false,
            output: folder.join("tokenizer"),
        }
    }

    #[test]
    fn what_is_learned_is_read_and_loses_no_byte() {
        let folder = tempfile::tempdir().unwrap();
        let text = "the cat sat on the mat, the cat that sat\n".repeat(20);
        let request = request(folder.path(), &text, 300);
        let count = train_bpe(&request).unwrap();
        assert!((270..=300).contains(&count), "{count}");
        let tokenizer = Tokenizer::from_folder(&request.output).unwrap().unwrap();
        assert_eq!(tokenizer.vocabulary_size(), count);
        for text in ["the cat", " sat.\n", "żółć 🐈 \u{0}\t"] {
            let ids = tokenizer.encode(text, AddSpecial::AsModel, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        }
        assert!(tokenizer.encode("the cat sat", AddSpecial::AsModel, false).unwrap().len() < 6);
        assert_eq!(tokenizer.piece(tokenizer.eos().unwrap()), Some(END_OF_TEXT));
    }

    #[test]
    fn digits_stay_apart_where_they_are_to() {
        let folder = tempfile::tempdir().unwrap();
        let text = "in 1234 and 1234 and 1234\n".repeat(20);
        let tokens = |split_digits| {
            let request = BpeRequest { split_digits, ..request(folder.path(), &text, 300) };
            train_bpe(&request).unwrap();
            let tokenizer = Tokenizer::from_folder(&request.output).unwrap().unwrap();
            tokenizer.encode(" 1234", AddSpecial::AsModel, false).unwrap().len()
        };
        assert_eq!([tokens(false), tokens(true)], [1, 5]);
    }

    #[test]
    fn the_same_text_has_the_same_vocabulary() {
        let folder = tempfile::tempdir().unwrap();
        let request = request(folder.path(), &"to be or not to be ".repeat(30), 280);
        let file = request.output.join("tokenizer.json");
        let made = [(), ()].map(|()| {
            train_bpe(&request).unwrap();
            fs::read(&file).unwrap()
        });
        assert_eq!(made[0], made[1]);
    }

    #[test]
    fn what_is_no_text_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let request = request(folder.path(), "abc", 300);
        fs::write(&request.files[0], b"abc\xff").unwrap();
        let error = train_bpe(&request).unwrap_err().to_string();
        assert!(error.contains("text.txt: is no UTF-8 from byte 3"), "{error}");
        let small = BpeRequest { vocabulary: 256, ..request };
        assert!(train_bpe(&small).unwrap_err().to_string().contains("257 tokens at least"));
    }
}
