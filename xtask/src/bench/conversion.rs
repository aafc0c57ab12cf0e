use std::path::{Path, PathBuf};

use clap::Args;
use edgeformer_bench::ModelChoice;
use edgeformer_bench::conversion::{ConversionBench, ConversionTexts, ConvertedModel};

use super::progress::Line;
use super::show::Show;
use super::{STORIES, command, commit, model_path, shared};
use crate::run::Result;

/// Attention converted to a smaller cache: perplexity against bytes, plain forms beside it.
#[derive(Debug, Args)]
pub struct Conversion {
    /// A GGUF file, a Hugging Face folder, or stories260k of the reference data; may be named
    /// several times. Texts beside it (calibration.txt, held-out.txt) are its own
    #[arg(long, default_value = STORIES)]
    model: Vec<String>,
    /// The text of models without texts beside them: one window in eight is measured, the others
    /// calibrate [default: TinyStories of the reference data]
    #[arg(long)]
    text: Option<PathBuf>,
    /// Windows that are measured at most
    #[arg(long, default_value_t = 32)]
    chunks: usize,
    /// Threads that compute [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    show: Show,
}

/// Of a single text, windows for each that is measured.
const PARTS: usize = 8;

impl Conversion {
    pub fn run(&self) -> Result<()> {
        let models = self.model.iter().map(|model| self.converted(model));
        let bench = ConversionBench { models: models.collect::<Result<_>>()? };
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }

    fn converted(&self, model: &str) -> Result<ConvertedModel> {
        let path = model_path(model)?;
        let texts = self.texts(&path)?;
        Ok(ConvertedModel { model: ModelChoice { path, threads: self.threads }, texts })
    }

    /// The texts beside a model, or the one of all others.
    fn texts(&self, model: &Path) -> Result<ConversionTexts> {
        let [calibration, held_out] =
            ["calibration.txt", "held-out.txt"].map(|name| model.join(name));
        if calibration.is_file() && held_out.is_file() {
            let chunks = Some(self.chunks);
            return Ok(ConversionTexts { calibration, held_out: Some(held_out), chunks });
        }
        let calibration = match &self.text {
            Some(text) => text.clone(),
            None => shared("data/tinystories-sample/tinystories_200k.txt")?,
        };
        let chunks = Some(self.chunks.saturating_mul(PARTS));
        Ok(ConversionTexts { calibration, held_out: None, chunks })
    }
}
