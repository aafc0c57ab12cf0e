use edgeformer_core::{Error, Registry};

use super::PluginOptions;
use crate::Result;

/// Refuses plugins: this build has none.
pub(crate) fn load_plugins(_: &mut Registry, options: &PluginOptions) -> Result<()> {
    if *options == PluginOptions::default() {
        return Ok(());
    }
    let problem = "this build loads no plugins: build it with the cargo feature `plugins`";
    Err(Error::Config(problem.into()).into())
}
