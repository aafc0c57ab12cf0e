//! Measurements of `edgeformer-bench`: what it measures is data there, what is asked for is
//! arguments here.

mod cache;
mod latent;
mod progress;
mod show;
mod stream;
mod tune;

use std::path::PathBuf;
use std::process::Command;

use clap::{Args, Subcommand};
use edgeformer_bench::ModelChoice;
use edgeformer_bench::process::serve;

use crate::run::{Result, cargo, read, root, run};

/// Measure what choices cost and give.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
    /// Measure with this build as it is: figures of a debug build mean nothing
    #[arg(long, global = true, hide = true)]
    as_built: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ways to keep the past: memory, speed and quality of each
    Cache(cache::Cache),
    /// A text that does not end: perplexity with sinks, with a window, and where refusing ends
    Stream(stream::Stream),
    /// Latent attention: the size of its cache, and when its two forms cross
    Latent(latent::Latent),
    /// What `edgeformer tune` finds, beside every setup there is
    Tune(tune::Tune),
    /// Measure one case that is read from standard input: what the others start
    #[command(hide = true)]
    Case,
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        if cfg!(debug_assertions) && !self.as_built {
            return again_in_release();
        }
        match &self.what {
            What::Cache(cache) => cache.run(),
            What::Stream(stream) => stream.run(),
            What::Latent(latent) => latent.run(),
            What::Tune(tune) => tune.run(),
            What::Case => serve(&mut std::io::stdin().lock(), &mut std::io::stdout().lock())
                .map_err(|error| error.to_string()),
        }
    }
}

/// Builds this task with optimization and hands it what this process was asked.
fn again_in_release() -> Result<()> {
    run(cargo().args(["build", "--release", "--quiet", "--package", "xtask"]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let program = target.join("release").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&program).args(std::env::args_os().skip(1)).status();
    let status = status.map_err(|error| format!("{}: {error}", program.display()))?;
    if !status.success() {
        // It has said why.
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}

/// Which model.
#[derive(Debug, Args)]
struct ModelArguments {
    /// A GGUF file, a Hugging Face folder, or stories260k of the reference data
    #[arg(long, default_value = STORIES)]
    model: String,
    /// Threads that compute [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
}

const STORIES: &str = "stories260k";

impl ModelArguments {
    fn choice(&self) -> Result<ModelChoice> {
        let path = match self.model.as_str() {
            STORIES => shared("models/stories260k/stories260k-f32.gguf")?,
            path => path.into(),
        };
        Ok(ModelChoice { path, threads: self.threads })
    }
}

/// A file of the reference data outside the repository.
fn shared(path: &str) -> Result<PathBuf> {
    let folder = std::env::var_os("EDGEFORMER_SHARED");
    let folder = folder.map_or_else(|| root().join("../shared"), PathBuf::from);
    let file = folder.join(path);
    if file.exists() {
        return Ok(file);
    }
    Err(format!("{} is not there: set EDGEFORMER_SHARED, or name a file", file.display()))
}

/// What was built: the commit, with `-dirty` if the tree has changes.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["describe", "--always", "--dirty", "--abbrev=10"]);
    read(&mut git).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The command that was called, as it stands in a report: without what does not change figures.
fn command() -> String {
    shown(std::env::args().skip(1))
}

fn shown(words: impl Iterator<Item = String>) -> String {
    let mut shown = "cargo xtask".to_owned();
    let mut words = words.filter(|word| word != "--as-built" && word != "--json");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--output" | "--document" => drop(words.next()),
            word if word.contains([' ', '"']) => shown.extend([" \"", word, "\""]),
            word => shown.extend([" ", word]),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_would_be_called_again() {
        let words = ["bench", "cache", "--configs", "q8_0,window 64", "--output", "o", "--json"];
        assert_eq!(
            shown(words.map(str::to_owned).into_iter()),
            "cargo xtask bench cache --configs \"q8_0,window 64\""
        );
    }
}
