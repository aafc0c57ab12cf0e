use std::path::{Path, PathBuf};

use edgeformer::evaluate::{Activations, Subject, Windows, text_windows};
use edgeformer::{EngineOptions, ModelSource};
use edgeformer_core::CacheFormat;
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::{OpenOptions, open_with};

use crate::{Error, Result};

/// Tokens of a window, where the model was trained on as many.
const WINDOW: usize = 512;
/// Rows of logits that are held at a time.
const ROWS: usize = 64;

/// A model that is quantized, and its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestModel {
    /// What tables call it.
    pub name: String,
    /// A GGUF file or a Hugging Face folder. What is quantized is made of it in f32.
    pub path: PathBuf,
    /// The text to calibrate with.
    pub calibration: String,
    /// The text to judge by: nothing of the other.
    pub held_out: String,
    /// Whether it is large enough for what is promised of perplexity at 4.6 bits a weight.
    pub is_bound: bool,
}

/// Such a model in f32, opened, its texts cut.
pub(super) struct Prepared {
    /// The f32 file.
    pub float: PathBuf,
    /// The text to calibrate with, as a file.
    pub text: PathBuf,
    /// That text in windows.
    pub calibration: Windows,
    /// The other text in windows.
    pub judged: Windows,
    /// The f32 model.
    pub reference: Subject,
    /// How models are run.
    pub engine: EngineOptions,
}

impl TestModel {
    /// Writes what is needed into a folder, and opens the model.
    pub(super) fn prepare(
        &self,
        folder: &Path,
        threads: Option<usize>,
        chunks: Option<usize>,
        calibration_chunks: Option<usize>,
    ) -> Result<Prepared> {
        let (float, text) = (folder.join("f32.gguf"), folder.join("calibration.txt"));
        Checkpoint::open(&self.path)?.with_outtype(OutType::F32).write_gguf(&float)?;
        std::fs::write(&text, &self.calibration).map_err(|error| Error::file(&text, error))?;
        let engine = engine_options(&float, threads)?;
        let source = ModelSource::Path(float.clone());
        let reference = Subject::open(&source, &engine, Activations::AsUsual)?;
        let windows = |text: &str, chunks: Option<usize>| -> Result<Windows> {
            Ok(text_windows(&reference, text, None)?.take(chunks.unwrap_or(usize::MAX)))
        };
        let calibration = windows(&self.calibration, calibration_chunks)?;
        let judged = windows(&self.held_out, chunks)?;
        Ok(Prepared { float, text, calibration, judged, reference, engine })
    }
}

/// Keys and values in f32, so that nothing but the weights differs.
fn engine_options(model: &Path, threads: Option<usize>) -> Result<EngineOptions> {
    let file = open_with(model, &OpenOptions { tokenizer: false })?;
    let trained = file.model.graph.trained_context().unwrap_or(WINDOW);
    Ok(EngineOptions {
        context: Some(trained.min(WINDOW)),
        output_rows: Some(ROWS),
        sequences: 1,
        cache_type_k: Some(CacheFormat::F32),
        cache_type_v: Some(CacheFormat::F32),
        threads,
        ..EngineOptions::default()
    })
}
