//! Built without the feature `embedded-model`: there is none.

use bytes::Bytes;

/// The embedded GGUF file.
pub(crate) fn file() -> Option<Bytes> {
    None
}
