//! Folders of `peft`: `adapter_config.json` and `adapter_model.safetensors`.

mod config;
mod read;
mod write;

pub(super) use read::read;
pub use write::{PeftOptions, write_peft};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// What every tensor's name begins with.
const PREFIX: &str = "base_model.model.";
