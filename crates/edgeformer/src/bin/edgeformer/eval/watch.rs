//! A run that shows how far it is, and that Ctrl-C ends with what was measured kept.

use std::path::Path;

use edgeformer::evaluate::Control;
use edgeformer::{Config, EngineOptions};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::interrupt::{self, Answering};
use crate::progress::Working;

/// Runs an evaluation under watch.
pub fn watched<T>(
    what: &str,
    arguments: &RunArgs,
    config: &Config,
    options: &EngineOptions,
    evaluate: impl FnOnce(&Control<'_>) -> edgeformer::Result<T>,
) -> Result<T, Failure> {
    interrupt::install()
        .map_err(|error| Failure::Failed(format!("Ctrl-C cannot be taken over: {error}")))?;
    let answering = Answering::start();
    let working = Working::steps(what, 0, config.quiet);
    // Instruction set and layout of the weights change bits; threads do not.
    let settings = format!("isa {:?}, repack {}", options.isa, options.repack);
    let result = evaluate(&Control {
        resume: arguments.resume.as_deref().map(Path::new),
        settings: &settings,
        progress: &|done, all| working.reach(done as u64, all as u64),
        stopped: &|| answering.stopped(),
    });
    drop(working);
    Ok(result?)
}
