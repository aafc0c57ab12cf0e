#![allow(unsafe_code, reason = "the person who names a library vouches for it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_core::{Backend, Error, Registry};
use edgeformer_plugin::host::{self, Digest, PluginBackend};

use super::PluginOptions;
use crate::Result;

/// Loads what is asked for and registers it, all or nothing.
pub(crate) fn load_plugins(registry: &mut Registry, options: &PluginOptions) -> Result<()> {
    let digests = digests(options)?;
    let mut with_plugins = registry.clone();
    for file in files(options)? {
        let plugin = load(&file, &digests)?;
        if with_plugins.backends().iter().any(|known| known.name() == plugin.name()) {
            return Err(refused(format!(
                "plugin {}: its backend is named {:?}, as one that is registered already: load one of the two",
                file.display(),
                plugin.name()
            )));
        }
        with_plugins.register(Arc::new(plugin));
    }
    *registry = with_plugins;
    Ok(())
}

fn digests(options: &PluginOptions) -> Result<Vec<Digest>> {
    let digests = options.digests.iter().map(|text| text.parse::<Digest>());
    digests
        .collect::<Result<_, String>>()
        .map_err(|problem| Error::Config(format!("plugin_digest: {problem}")).into())
}

/// Those that are named, then those of the folder; none twice.
fn files(options: &PluginOptions) -> Result<Vec<PathBuf>> {
    let folder = options.folder.as_deref().map(host::libraries).transpose();
    let mut files = options.files.clone();
    for file in folder.map_err(|error| refused(error.to_string()))?.unwrap_or_default() {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    Ok(files)
}

fn load(file: &Path, digests: &[Digest]) -> Result<PluginBackend> {
    // SAFETY: it is named on the command line, by the environment or by the program that uses this
    // crate, never by a file that lies about: whoever did that says that it is a plugin.
    unsafe { host::load(file, digests) }.map_err(|error| refused(error.to_string()))
}

fn refused(problem: String) -> crate::Error {
    Error::NoBackend(problem).into()
}
