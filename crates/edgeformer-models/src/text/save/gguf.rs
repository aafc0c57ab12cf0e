//! A tokenizer as the keys of a GGUF file.

use std::path::Path;

use bytes::Bytes;

use super::{TokenizerKeys, patterns, scores};
use crate::gguf::{Gguf, GgufWriter, MetadataArray, MetadataValue};
use crate::text::algorithm::Algorithm;
use crate::text::bpe::Bpe;
use crate::text::decoder::{Decoder, WordMarks};
use crate::text::load::{Config, TokenName};
use crate::text::tokenizer::Parts;
use crate::text::vocabulary::Kind;
use crate::text::{AddSpecial, Tokenizer};
use crate::{Error, Result};

/// Texts that tell tokenizers apart: contractions, digits, spaces and line ends in rows, scripts
/// without spaces, marks on letters, signs. In NFC, because GGUF has no normal forms.
const PROBES: [&str; 6] = [
    "Hello world, it's 1 22 333 4444 55555 o'clock; WE'LL see!? I'd've... x=y+z==w!=v",
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u{200d}🌫\u{fe0f} ✅ 🦙🦙",
    "nhà được này 你好世界，再见。3.14159，こんにちは カタカナ 한국어 ខ្មែរ \u{915}\u{94d}\u{937} ελληνικά Русский язык",
    "''''''```````\"\"\"\"......!!!!!!?????? {\"key\": [1, 2, 3]} <a href='b'>c</a> //--##@@ €5 £10 ½²³",
    "fn main() {\r\n    let a_b = 0x1F;\r\n\r\n\treturn a_b<<2;\r\n}  trailing   ",
    " leading space CamelCase snake_case ÀÉÎõü ß ŒUVRE don't can't \u{2019}s",
];

/// A tokenizer that GGUF can hold, in keys: those of the first candidate that reads every probe
/// as the tokenizer does.
pub(super) fn keys(
    tokenizer: &Tokenizer,
    config: &Config,
    vocabulary: usize,
    path: &Path,
) -> Result<TokenizerKeys> {
    let saver = Saver { tokenizer, parts: tokenizer.parts(), config, vocabulary };
    let forms = saver.forms().map_err(|problem| refused(path, problem))?;
    for form in forms {
        let keys = saver.keys(&form);
        if saver.reads_alike(&keys, path)? {
            return Ok(keys);
        }
    }
    let problem = "no tokenizer that GGUF can state cuts text as this one does";
    Err(refused(path, problem.to_owned()))
}

fn refused(path: &Path, problem: String) -> Error {
    Error::format(path, "tokenizer", problem + ": keep the folder for it")
}

struct Saver<'a> {
    tokenizer: &'a Tokenizer,
    parts: &'a Parts,
    config: &'a Config,
    /// Tokens of the model: the file names as many.
    vocabulary: usize,
}

/// One way in which GGUF may state the tokenizer.
enum Form<'a> {
    /// Byte-level BPE, cut into words by the pre-tokenizer of that name.
    ByteLevel(&'a Bpe, &'static str),
    /// SentencePiece, with or without a space before the text.
    SentencePiece(&'a Bpe, bool),
    /// BERT's, with its unknown token.
    WordPiece(u32),
}

impl Saver<'_> {
    /// The ways that may fit, the likeliest first.
    fn forms(&self) -> Result<Vec<Form<'_>>, String> {
        match (&self.parts.algorithm, &self.parts.decoder) {
            (Algorithm::Bpe(bpe), Decoder::ByteLevel) => {
                let whole_words = bpe.options().whole_words;
                let names = patterns::candidates(self.parts.pre_tokenizer.as_ref(), whole_words);
                Ok(names.into_iter().map(|name| Form::ByteLevel(bpe, name)).collect())
            }
            (Algorithm::Bpe(bpe), Decoder::Marked { .. }) => {
                Ok([true, false].map(|prefix| Form::SentencePiece(bpe, prefix)).into())
            }
            (Algorithm::WordPiece(pieces), _) => match &pieces.marks {
                WordMarks::Continuation(mark) if mark == "##" => {
                    Ok(vec![Form::WordPiece(pieces.unknown)])
                }
                _ => Err("its words are marked otherwise than BERT's".into()),
            },
            _ => Err("is neither byte-level BPE, SentencePiece's BPE nor WordPiece".into()),
        }
    }

    fn keys(&self, form: &Form<'_>) -> TokenizerKeys {
        match *form {
            Form::ByteLevel(bpe, name) => self.byte_level(bpe, name),
            Form::SentencePiece(bpe, prefix) => self.sentencepiece(bpe, prefix),
            Form::WordPiece(unknown) => self.wordpiece(unknown),
        }
    }

    fn byte_level(&self, bpe: &Bpe, name: &str) -> TokenizerKeys {
        let piece = |id: u32| self.parts.vocabulary.piece(id);
        let merges =
            bpe.merges().map(|(left, right, _)| format!("{} {}", piece(left), piece(right)));
        let merges = MetadataArray::strings(merges);
        let mut keys = self.head("gpt2", name, |_, piece| piece.to_owned(), |_, kind| kind);
        keys.push(("tokenizer.ggml.merges".to_owned(), merges.into()));
        keys.extend(self.text_marks(bpe.options().unknown));
        keys
    }

    fn sentencepiece(&self, bpe: &Bpe, prefix: bool) -> TokenizerKeys {
        let vocabulary = &self.parts.vocabulary;
        let (unknown, bytes) = (bpe.options().unknown, bpe.options().byte_fallback);
        let kind = |id: u32, kind: Kind| match kind {
            _ if Some(id) == unknown => Kind::Unknown,
            Kind::Normal if bytes && scores::is_byte(vocabulary, id) => Kind::Byte,
            kind => kind,
        };
        let mut keys = self.head("llama", "default", |_, piece| piece.to_owned(), kind);
        let mut scores = scores::scores(bpe, vocabulary);
        scores.resize(self.vocabulary, 0.0);
        keys.push(("tokenizer.ggml.scores".to_owned(), scores.as_slice().into()));
        keys.extend(self.text_marks(unknown));
        if !prefix {
            keys.push(("tokenizer.ggml.add_space_prefix".to_owned(), false.into()));
        }
        keys
    }

    /// Words begin with `▁` and continuations do not: llama.cpp's form of BERT's vocabulary.
    fn wordpiece(&self, unknown: u32) -> TokenizerKeys {
        let spelling = |kind: Kind, piece: &str| match piece.strip_prefix("##") {
            _ if kind == Kind::Control => piece.to_owned(),
            Some(rest) => rest.to_owned(),
            None => format!("\u{2581}{piece}"),
        };
        let mut keys = self.head("bert", "default", spelling, |_, kind| kind);
        let named = |token: &Option<TokenName>, usual: &str| {
            let id = |name: &str| self.parts.vocabulary.id(name);
            token.as_ref().and_then(|name| id(name.text())).or_else(|| id(usual))
        };
        let ids = [
            ("cls", self.parts.before.first().copied()),
            ("seperator", self.parts.after.first().copied()),
            ("unknown", Some(unknown)),
            ("padding", named(&self.config.pad_token, "[PAD]")),
            ("mask", named(&self.config.mask_token, "[MASK]")),
        ];
        keys.extend(ids.into_iter().filter_map(token_id));
        keys
    }

    /// Model, pre-tokenizer, tokens and their types.
    fn head(
        &self,
        model: &str,
        pre: &str,
        spelling: impl Fn(Kind, &str) -> String,
        kind: impl Fn(u32, Kind) -> Kind,
    ) -> TokenizerKeys {
        let vocabulary = &self.parts.vocabulary;
        let spelled = |id: u32| match vocabulary.kind(id) {
            // Rows of the embedding table that no token uses, as llama.cpp names them.
            Kind::Absent => format!("[PAD{id}]"),
            kind => spelling(kind, vocabulary.piece(id)),
        };
        let ids = 0..self.vocabulary as u32;
        let types: Vec<i32> = ids.clone().map(|id| number(kind(id, vocabulary.kind(id)))).collect();
        vec![
            ("tokenizer.ggml.model".to_owned(), model.to_owned().into()),
            ("tokenizer.ggml.pre".to_owned(), pre.to_owned().into()),
            ("tokenizer.ggml.tokens".to_owned(), MetadataArray::strings(ids.map(spelled)).into()),
            ("tokenizer.ggml.token_type".to_owned(), types.as_slice().into()),
        ]
    }

    /// The ids of marks, and which of them are put around a text.
    fn text_marks(&self, unknown: Option<u32>) -> TokenizerKeys {
        let Parts { bos, eos, before, after, vocabulary, .. } = self.parts;
        let named =
            |token: &Option<TokenName>| token.as_ref().and_then(|name| vocabulary.id(name.text()));
        let ids = [
            ("bos", *bos),
            ("eos", *eos),
            ("unknown", unknown.or(named(&self.config.unk_token))),
            ("padding", named(&self.config.pad_token)),
        ];
        let flags = [
            ("add_bos_token", bos.is_some_and(|bos| before.contains(&bos))),
            ("add_eos_token", eos.is_some_and(|eos| after.contains(&eos))),
        ];
        let flags = flags.map(|(key, flag)| (format!("tokenizer.ggml.{key}"), flag.into()));
        ids.into_iter().filter_map(token_id).chain(flags).collect()
    }

    /// Whether a reader of the keys makes the same tokens of every probe.
    fn reads_alike(&self, keys: &[(String, MetadataValue<'static>)], path: &Path) -> Result<bool> {
        let mut writer = GgufWriter::new();
        for (key, value) in keys {
            writer.metadata(key.as_str(), value.clone());
        }
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes).map_err(|source| Error::io(path, source))?;
        let Some(read) = Tokenizer::from_gguf(&Gguf::from_bytes(path, Bytes::from(bytes))?)? else {
            return Ok(false);
        };
        for probe in PROBES {
            let ids = |tokenizer: &Tokenizer| tokenizer.encode(probe, AddSpecial::AsModel, true);
            if ids(self.tokenizer)? != ids(&read)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The key of a special token; the format spells `seperator` like this.
fn token_id((name, id): (&str, Option<u32>)) -> Option<(String, MetadataValue<'static>)> {
    Some((format!("tokenizer.ggml.{name}_token_id"), id?.into()))
}

/// llama.cpp's number of a kind.
fn number(kind: Kind) -> i32 {
    match kind {
        Kind::Normal => 1,
        Kind::Unknown => 2,
        Kind::Control => 3,
        Kind::UserDefined => 4,
        Kind::Unused | Kind::Absent => 5,
        Kind::Byte => 6,
    }
}
