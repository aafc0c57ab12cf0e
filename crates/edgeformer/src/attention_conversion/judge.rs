use std::path::{Path, PathBuf};

use edgeformer_core::CacheFormat;
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::{OpenOptions, open_with};
use edgeformer_quantize::attention::AttentionCalibration;
use serde::Serialize;

use super::record;
use crate::evaluate::{
    Activations, Control, Perplexity, Subject, Windows, perplexity, read_text, text_windows,
};
use crate::quantize::Told;
use crate::{EngineOptions, Error, ModelSource, PackedWeights, Result};

/// Tokens of a window, where the model was trained on as many.
const WINDOW: usize = 512;
/// Rows of logits that are held at a time.
const LOGITS: usize = 64;
/// Of a single text, one window in so many is judged by.
const JUDGED: usize = 8;

/// Texts that a conversion is calibrated with and judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionTexts {
    /// The text to calibrate with.
    pub calibration: PathBuf,
    /// The text to judge by; `None` holds every eighth window of the other one out.
    pub held_out: Option<PathBuf>,
    /// Windows that are read of each text, at most.
    pub chunks: Option<usize>,
}

/// What a conversion cost, on text that nothing was calibrated with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// The model before.
    pub before: Perplexity,
    /// The model after.
    pub after: Perplexity,
}

/// A model that is to be converted: calibrated, and measured as it is.
#[derive(Debug)]
pub struct Judge {
    calibration: AttentionCalibration,
    before: Perplexity,
    held_out: Windows,
    options: EngineOptions,
}

impl Cost {
    /// Perplexity as a multiple of what it was.
    pub fn ratio(&self) -> f64 {
        self.after.perplexity / self.before.perplexity
    }

    /// Whether perplexity fell or rose by less than its standard error says anything of.
    pub fn is_unclear(&self) -> bool {
        let change = self.after.perplexity - self.before.perplexity;
        change <= self.before.perplexity_error.max(self.after.perplexity_error)
    }
}

impl Judge {
    /// Runs a model (a GGUF file or a Hugging Face folder) on its texts. Windows are as long as the
    /// options say, else as what the model was trained on, at most 512 tokens.
    ///
    /// # Errors
    /// If the model does not continue text or no backend runs it, a text is too short, or it was
    /// stopped.
    pub fn open(
        model: &Path,
        texts: &ConversionTexts,
        options: &EngineOptions,
        told: Told<'_>,
    ) -> Result<Self> {
        let options = judging(model, options)?;
        let subject = open(model, &options)?;
        let (read, held_out) = windows(&subject, texts)?;
        let calibration = record(&subject, &read, told)?;
        let before = measure(&subject, &held_out, told)?;
        Ok(Self { calibration, before, held_out, options })
    }

    /// What was recorded.
    pub fn calibration(&self) -> &AttentionCalibration {
        &self.calibration
    }

    /// How surprised the model is before it is converted.
    pub fn before(&self) -> &Perplexity {
        &self.before
    }

    /// What a conversion cost whose result was written to a file or a folder.
    ///
    /// # Errors
    /// If it cannot be run, or it was stopped.
    pub fn cost(&self, converted: &Path, told: Told<'_>) -> Result<Cost> {
        let after = measure(&open(converted, &self.options)?, &self.held_out, told)?;
        Ok(Cost { before: self.before.clone(), after })
    }

    /// The same of a result that is not written: it is, to a file that is gone afterwards.
    ///
    /// # Errors
    /// As [`Judge::cost`], or if there is no room for the file.
    pub fn cost_of(&self, converted: &Checkpoint, told: Told<'_>) -> Result<Cost> {
        let folder = tempfile::tempdir().map_err(|error| {
            Error::Request(format!("a folder for the converted model: {error}"))
        })?;
        let file = folder.path().join("converted.gguf");
        converted.write_gguf(&file)?;
        self.cost(&file, told)
    }
}

/// How a model is run to be judged: in windows, keys and values in f32, so that no format of the
/// cache hides what the conversion does.
fn judging(model: &Path, options: &EngineOptions) -> Result<EngineOptions> {
    let context = match options.context {
        Some(context) => context,
        None => trained_context(model)?.min(WINDOW),
    };
    Ok(EngineOptions {
        context: Some(context),
        output_rows: Some(LOGITS),
        sequences: 1,
        cache_type_k: Some(CacheFormat::F32),
        cache_type_v: Some(CacheFormat::F32),
        packed: PackedWeights::Ignored,
        ..options.clone()
    })
}

fn trained_context(model: &Path) -> Result<usize> {
    let file = open_with(model, &OpenOptions { tokenizer: false })?;
    Ok(file.model.graph.trained_context().unwrap_or(WINDOW))
}

fn open(model: &Path, options: &EngineOptions) -> Result<Subject> {
    Subject::open(&ModelSource::Path(model.to_owned()), options, Activations::AsUsual)
}

/// Windows to calibrate with, and others to judge by.
fn windows(subject: &Subject, texts: &ConversionTexts) -> Result<(Windows, Windows)> {
    let limit = texts.chunks.unwrap_or(usize::MAX);
    let cut = |path: &Path| -> Result<Windows> {
        let windows = text_windows(subject, &read_text(path)?, None);
        Ok(windows.map_err(|error| named(path, error))?.take(limit))
    };
    let calibration = cut(&texts.calibration)?;
    match &texts.held_out {
        Some(held_out) => Ok((calibration, cut(held_out)?)),
        None => calibration.hold_out(JUDGED).map_err(|error| named(&texts.calibration, error)),
    }
}

fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Request(problem) => Error::Request(format!("{}: {problem}", path.display())),
        error => error,
    }
}

fn measure(subject: &Subject, windows: &Windows, told: Told<'_>) -> Result<Perplexity> {
    let progress = |done, all| (told.progress)("measuring perplexity", done as u64, all as u64);
    let control = Control { progress: &progress, stopped: told.stopped, ..Control::default() };
    perplexity(subject, windows, &control).map_err(|error| match error {
        // There is no state to go on from.
        Error::Interrupted { .. } => {
            Error::Request("interrupted while perplexity was measured".into())
        }
        error => error,
    })
}
