//! GGUF files of llama.cpp: `general.type` is `adapter`, a weight's matrices are `NAME.lora_a` and
//! `NAME.lora_b`.
//!
//! The file states one alpha; a weight's scale is `alpha / rank`, or 1 where alpha is 0 or absent.

mod read;
mod write;

pub(super) use read::read;
pub use write::write_gguf;

const TYPE: &str = "general.type";
const ARCHITECTURE: &str = "general.architecture";
const METHOD: &str = "adapter.type";
const ALPHA: &str = "adapter.lora.alpha";
/// Tokens behind which alone an adapter acts (aLoRA).
const INVOCATION: &str = "adapter.alora.invocation_tokens";
/// The table whose matrices lie the other way round: rows of A are looked up.
const TABLE: &str = "token_embd.weight";
