//! Measurements of `edgeformer-bench`: what it measures is data there, what is asked for is
//! arguments here.

mod cache;
mod conversion;
mod device;
mod instructions;
mod latent;
mod peer;
mod progress;
mod quantization;
mod quantization_cost;
mod scenario;
mod show;
mod speed;
mod stream;
mod tune;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use edgeformer_bench::process::{Worker, serve};
use edgeformer_bench::{ModelChoice, packed_warning};

use crate::run::{Result, read, root, run};
use peer::Build;

/// Measure: tokens a second, memory and time to load, beside a peer and the machine's limits.
/// With a further word, what choices cost and give.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    speed: speed::Speed,
    #[command(flatten)]
    instructions: instructions::Instructions,
    #[command(flatten)]
    scenario: scenario::ScenarioArguments,
    #[command(flatten)]
    device: device::DeviceArguments,
    /// What this program runs under: its cases are started under it too, its figures are marked
    #[arg(long, hide = true)]
    emulator: Option<PathBuf>,
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
    /// Attention converted to a smaller cache: perplexity against bytes, plain forms beside it
    Conversion(conversion::Conversion),
    /// Quantized files beside those of llama.cpp: size, quality, errors of tensors
    Quantization(quantization::Quantization),
    /// Time and memory that quantizing a model takes, beside llama.cpp
    QuantizationCost(quantization_cost::QuantizationCost),
    /// What `edgeformer tune` finds, beside every setup there is
    Tune(tune::Tune),
    /// Measure one case that is read from standard input: what the others start
    #[command(hide = true)]
    Case,
    /// Run one case of `--instructions`: what that counts
    #[command(hide = true)]
    Count(instructions::Count),
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        if cfg!(debug_assertions) && !self.as_built {
            return again_in_release(&self.build());
        }
        match &self.what {
            None => self.run_plain(),
            Some(What::Cache(cache)) => cache.run(),
            Some(What::Stream(stream)) => stream.run(),
            Some(What::Latent(latent)) => latent.run(),
            Some(What::Conversion(conversion)) => conversion.run(),
            Some(What::Quantization(quantization)) => quantization.run(),
            Some(What::QuantizationCost(cost)) => cost.run(),
            Some(What::Count(count)) => count.run(),
            Some(What::Tune(tune)) => tune.run(),
            Some(What::Case) => serve(&mut std::io::stdin().lock(), &mut std::io::stdout().lock())
                .map_err(|error| error.to_string()),
        }
    }

    /// What is measured without a further word.
    fn run_plain(&self) -> Result<()> {
        if self.instructions.instructions {
            return self.instructions.run(self.speed.show.json);
        }
        if let Some(scenario) = self.scenario.scenario {
            return self.scenario.run(scenario, &self.speed);
        }
        match &self.device.device {
            Some(device) => self.speed.run_on(device, &self.device),
            None => self.speed.run(self.emulator.as_deref()),
        }
    }

    fn build(&self) -> Build {
        match &self.what {
            None => self.speed.build(),
            Some(What::Quantization(quantization)) => quantization.build(),
            Some(What::QuantizationCost(cost)) => cost.build(),
            Some(_) => Build::PLAIN,
        }
    }
}

/// Builds this task with optimization, and the peers that are asked for, and hands it what this
/// process was asked.
fn again_in_release(build: &Build) -> Result<()> {
    if !build.features.is_empty() && !build.program().exists() {
        eprintln!("building peers ({}): this takes minutes", build.features.join(", "));
    }
    run(&mut build.command())?;
    let program = build.program();
    let status = Command::new(&program).args(std::env::args_os().skip(1)).status();
    let status = status.map_err(|error| format!("{}: {error}", program.display()))?;
    if !status.success() {
        // It has said why.
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}

/// This program, asked to measure one case, under an emulator if it runs under one itself.
fn worker(emulator: Option<&Path>) -> Result<Worker> {
    let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let task = ["bench", "case", "--as-built"].map(str::to_owned);
    Ok(match emulator {
        None => Worker { program: this, arguments: task.into() },
        Some(emulator) => {
            let this = this.to_string_lossy().into_owned();
            let arguments = std::iter::once(this).chain(task).collect();
            Worker { program: emulator.into(), arguments }
        }
    })
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
        let path = model_path(&self.model)?;
        warn_of_packed(&path);
        Ok(ModelChoice { path, threads: self.threads })
    }
}

/// A path, or stories260k of the reference data.
fn model_path(model: &str) -> Result<PathBuf> {
    match model {
        STORIES => shared("models/stories260k/stories260k-f32.gguf"),
        path => Ok(path.into()),
    }
}

/// A file of the reference data outside the repository.
fn shared(path: &str) -> Result<PathBuf> {
    let file = crate::run::shared(None).join(path);
    if file.exists() {
        return Ok(file);
    }
    Err(format!("{} is not there: set EDGEFORMER_SHARED, or name a file", file.display()))
}

/// Says on standard error where the packed file beside a model is refused: who made one believes
/// that it is measured.
fn warn_of_packed(model: &Path) {
    // What else is wrong with the model is told by who measures it.
    if let Ok(Some(warning)) = packed_warning(model) {
        eprintln!("warning: {warning}");
    }
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

/// Words without effect on figures.
const UNSHOWN: [&str; 4] = ["--as-built", "--json", "--quiet", "-q"];

fn shown(words: impl Iterator<Item = String>) -> String {
    let mut shown = "cargo xtask".to_owned();
    let mut words = words.filter(|word| !UNSHOWN.contains(&word.as_str()));
    while let Some(word) = words.next() {
        match word.as_str() {
            "--output" | "--document" | "--place" | "--ssh-option" => drop(words.next()),
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
