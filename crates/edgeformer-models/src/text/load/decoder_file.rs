//! The `decoder` section of a `tokenizer.json`.

use serde::Deserialize;

use crate::text::decoder::{Decoder, SPACE_MARK, WordMarks};
use crate::text::vocabulary::Problem;

/// A decoder as the file writes it.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum DecoderFile {
    ByteLevel {},
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    Metaspace {
        replacement: char,
        prepend_scheme: Option<String>,
        add_prefix_space: Option<bool>,
    },
    #[serde(rename = "BPEDecoder")]
    WordEnd {
        suffix: String,
    },
    Sequence {
        decoders: Vec<DecoderFile>,
    },
    Replace {
        pattern: PatternFile,
        content: String,
    },
    ByteFallback {},
    Fuse {},
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
}

#[derive(Deserialize)]
pub(super) enum PatternFile {
    String(String),
    Regex(serde::de::IgnoredAny),
}

impl DecoderFile {
    /// Our own decoder that does the same.
    pub fn decoder(&self) -> Result<Decoder, Problem> {
        match self {
            Self::ByteLevel {} => Ok(Decoder::ByteLevel),
            Self::WordPiece { prefix, cleanup } => Ok(Decoder::WordPiece {
                marks: WordMarks::Continuation(prefix.clone()),
                clean_up: *cleanup,
            }),
            Self::WordEnd { suffix } => Ok(Decoder::WordEnd(suffix.clone())),
            Self::Metaspace { replacement, prepend_scheme, add_prefix_space } => {
                let prepends = prepend_scheme.as_deref().map(|scheme| scheme != "never");
                let prepends = prepends.or(*add_prefix_space).unwrap_or(true);
                check_mark(&replacement.to_string())?;
                Ok(Decoder::Marked { leading_spaces: usize::from(prepends), bytes: false })
            }
            Self::Sequence { decoders } => sequence(decoders),
            single => sequence(std::slice::from_ref(single)),
        }
    }
}

/// A sequence is one decoder of its own kind, or the steps that spell out SentencePiece.
fn sequence(decoders: &[DecoderFile]) -> Result<Decoder, Problem> {
    if let [single @ (DecoderFile::ByteLevel {} | DecoderFile::WordPiece { .. })] = decoders {
        return single.decoder();
    }
    let mut leading_spaces = 0;
    let mut bytes = false;
    for decoder in decoders {
        match decoder {
            DecoderFile::Replace { pattern: PatternFile::String(mark), content }
                if content == " " =>
            {
                check_mark(mark)?;
            }
            DecoderFile::ByteFallback {} => bytes = true,
            DecoderFile::Fuse {} => {}
            DecoderFile::Strip { content: ' ', start, stop: 0 } => leading_spaces = *start,
            DecoderFile::Metaspace { .. } => match decoder.decoder()? {
                Decoder::Marked { leading_spaces: n, .. } => leading_spaces = n,
                _ => unreachable!("a Metaspace decoder is marked"),
            },
            other => return Err(format!("decoder step {} is not supported here", other.name())),
        }
    }
    Ok(Decoder::Marked { leading_spaces, bytes })
}

impl DecoderFile {
    fn name(&self) -> &'static str {
        match self {
            Self::ByteLevel {} => "ByteLevel",
            Self::WordPiece { .. } => "WordPiece",
            Self::Metaspace { .. } => "Metaspace",
            Self::WordEnd { .. } => "BPEDecoder",
            Self::Sequence { .. } => "Sequence",
            Self::Replace { pattern: PatternFile::Regex(_), .. } => "Replace by a regex",
            Self::Replace { .. } => "Replace",
            Self::ByteFallback {} => "ByteFallback",
            Self::Fuse {} => "Fuse",
            Self::Strip { .. } => "Strip",
        }
    }
}

fn check_mark(mark: &str) -> Result<(), Problem> {
    if mark == SPACE_MARK {
        return Ok(());
    }
    Err(format!("{mark:?} for a space is not supported: only {SPACE_MARK:?} is"))
}
