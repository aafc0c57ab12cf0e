//! Tokenizers, chat templates, streaming.
