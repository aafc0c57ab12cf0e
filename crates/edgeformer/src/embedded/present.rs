//! The model that answers without `--model`: `assets/tiny` in the repository says what it is.

use bytes::Bytes;

static FILE: &[u8] = include_bytes!("../../../../assets/tiny/tiny-shakespeare.gguf");

/// The embedded GGUF file.
pub(crate) fn file() -> Option<Bytes> {
    Some(Bytes::from_static(FILE))
}
