//! Settings: defaults, then `edgeformer.toml`, then `EDGEFORMER_*`, then the command line.
//!
//! All settings are flat, so that one name serves everywhere: `top_k` in the file,
//! `EDGEFORMER_TOP_K` in the environment, `--top-k` on the command line. A key that does not
//! exist is refused with the nearest one that does.
//!
//! - `settings`: what there is; `adapter`, `bytes`, `window`, `speculate`: values with a form of their own
//! - `load`: the sources, merged
//! - `check`: ranges; `conflicts`: settings that contradict each other

mod adapter;
mod bytes;
mod cache_folder;
mod check;
mod conflicts;
mod load;
mod nearest;
mod settings;
mod speculate;
#[cfg(test)]
mod tests;
mod text;
mod window;

pub use adapter::AdapterSetting;
pub use bytes::ByteSize;
pub use load::Sources;
pub use nearest::nearest;
pub use settings::Config;
pub use speculate::{MAX_DRAFT, SpeculateSetting};
pub use window::WindowSetting;

/// The file that is read from the working directory if it is there.
pub const FILE_NAME: &str = "edgeformer.toml";

/// What every variable of ours in the environment starts with.
pub const ENV_PREFIX: &str = "EDGEFORMER_";
