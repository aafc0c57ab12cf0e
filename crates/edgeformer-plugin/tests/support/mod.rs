//! The plugins of `tests/plugins`, where cargo has put them.

use std::path::PathBuf;

use edgeformer_plugin::host::{PluginBackend, load};

/// The file of a plugin.
pub fn path(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let target = this.parent().unwrap().parent().unwrap();
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target.join("examples").join(file)
}

/// A plugin, loaded.
pub fn plugin(name: &str) -> PluginBackend {
    // SAFETY: it was built from this crate.
    unsafe { load(&path(name), &[]) }.unwrap()
}
