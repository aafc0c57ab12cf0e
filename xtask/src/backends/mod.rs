//! What every backend can do: the conformance suite run over all of them, as a page of `docs/`.

#[cfg(not(feature = "backends"))]
mod again;
#[cfg(feature = "backends")]
mod suite;

use clap::Args;

#[cfg(not(feature = "backends"))]
use again as suite;

use crate::run::Result;

/// Run the conformance suite over every backend and write docs/backends.md.
#[derive(Debug, Args)]
pub struct Backends {
    /// Write nothing; fail if the page does not say what is true, or a backend has a problem
    #[arg(long)]
    check: bool,
}

impl Backends {
    pub fn run(&self) -> Result<()> {
        suite::run_task(self)
    }
}
