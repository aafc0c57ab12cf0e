//! Backends in shared libraries: which ones are asked for, and, with the feature `plugins`, loading
//! them.

#[cfg(not(feature = "plugins"))]
mod absent;
#[cfg(feature = "plugins")]
mod loaded;

use std::path::PathBuf;

use edgeformer_core::Config;

#[cfg(not(feature = "plugins"))]
pub(crate) use absent::load_plugins;
#[cfg(feature = "plugins")]
pub(crate) use loaded::load_plugins;

/// Where backends come from that are not compiled in. What they name is run as a part of this
/// process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginOptions {
    /// Shared libraries, by their absolute paths.
    pub files: Vec<PathBuf>,
    /// An absolute folder, all libraries of which are loaded.
    pub folder: Option<PathBuf>,
    /// SHA-256 digests in hexadecimal: with any, a library must have one of them.
    pub digests: Vec<String>,
}

impl From<&Config> for PluginOptions {
    fn from(config: &Config) -> Self {
        Self {
            files: config.plugin.clone(),
            folder: config.plugin_dir.clone(),
            digests: config.plugin_digest.clone(),
        }
    }
}
