//! GGUF files with random weights in real shapes: for benchmarks and memory plans, which do not
//! ask what a model says.

mod mixture;
mod random;
mod shapes;
mod tensors;
mod vocabulary;

use std::fs;
use std::path::PathBuf;

use clap::Args;
use edgeformer_models::gguf::GgufWriter;
use indicatif::{ProgressBar, ProgressStyle};

use crate::run::{Result, root};
use mixture::Mixture;
use shapes::Shape;

/// Write a GGUF file with random weights.
#[derive(Debug, Args)]
pub struct MakeModel {
    /// llama-1b, qwen-0.5b, smollm-135m or mla-lite
    name: String,
    /// f32, f16, bf16, q8_0, q4_0, q4_k_m, … of every matrix; the vocabulary gets at least 6 bits
    #[arg(long, default_value = "q4_0")]
    format: String,
    /// Where the weights start
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The file [default: NAME-FORMAT.gguf]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

/// The file of a model of that name and format, seed 0: made if it is not there.
pub fn kept(name: &str, format: &str) -> Result<PathBuf> {
    let folder = root().join("target/models");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join(format!("{name}-{format}.gguf"));
    if file.is_file() {
        return Ok(file);
    }
    let (name, format) = (name.into(), format.into());
    MakeModel { name, format, seed: 0, output: Some(file), quiet: false }.write()
}

impl MakeModel {
    pub fn run(&self) -> Result<()> {
        println!("{}", self.write()?.display());
        Ok(())
    }

    /// Writes the file and returns its path.
    fn write(&self) -> Result<PathBuf> {
        let shape = Shape::named(&self.name)?;
        let mixture: Mixture = self.format.parse()?;
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| format!("{}-{}.gguf", self.name, mixture.name()).into());

        let tensors = tensors::list(shape);
        let progress = bar(tensors.iter().map(|tensor| tensor.elements() as u64).sum(), self.quiet);
        let mut file = GgufWriter::new();
        shape.describe(&mut file);
        vocabulary::describe(&mut file, shape.vocabulary);
        for (index, tensor) in tensors.iter().enumerate() {
            let (format, progress) = (mixture.format(tensor), &progress);
            let seed = random::mix(self.seed, index as u64);
            file.generated(tensor.name.as_str(), format, tensor.shape.clone(), move |out| {
                tensor.write(format, seed, progress, out)
            });
        }
        file.write_file(&output).map_err(|error| error.to_string())?;
        progress.finish_and_clear();
        Ok(output)
    }
}

fn bar(total: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // Drawn on stderr, and only if that is a terminal.
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {percent} % {eta}")
        .expect("the template is valid");
    ProgressBar::new(total).with_style(style).with_message("weights")
}
