//! Models that are evaluated, opened with progress.

use std::path::Path;

use edgeformer::evaluate::{Activations, Subject};
use edgeformer::{CacheFormat, Config, Engine, EngineOptions, ModelSource, Speculation};

use crate::failure::Failure;
use crate::progress::Working;
use crate::report::{self, mebibytes};

/// Tokens of a window where nothing says otherwise: llama.cpp's.
const WINDOW: usize = 512;

/// Rows of logits that are held at a time: enough for products of many rows, little beside a model
/// even with a large vocabulary.
const LOGITS: usize = 64;

/// How a model that continues text is opened: `context` where the settings name none.
fn options(config: &Config, context: Option<usize>) -> EngineOptions {
    EngineOptions {
        context: config.ctx_size.or(context),
        output_rows: Some(LOGITS),
        sequences: 1,
        // What is measured is the model, unless the cache is asked for.
        cache_type_k: config.cache_type_k.or(Some(CacheFormat::F32)),
        cache_type_v: config.cache_type_v.or(Some(CacheFormat::F32)),
        speculation: Speculation::default(),
        ..EngineOptions::from(config)
    }
}

/// Options for a text in windows.
pub fn for_windows(config: &Config) -> EngineOptions {
    options(config, Some(WINDOW))
}

/// Options for questions: their beginning, and one end at a time.
pub fn for_questions(config: &Config) -> EngineOptions {
    EngineOptions { sequences: 2, ..options(config, None) }
}

/// Options for images.
pub fn for_images(config: &Config) -> EngineOptions {
    EngineOptions { tokenizer: false, ..EngineOptions::from(config) }
}

/// Opens the model that the settings name, or a reference.
pub fn open(
    config: &Config,
    reference: Option<&Path>,
    options: &EngineOptions,
    activations: Activations,
) -> Result<Subject, Failure> {
    let source = ModelSource::from_path(reference.or(config.model.as_deref()));
    let working = Working::on(format!("opening {source}"), config.quiet);
    let subject = Subject::open(&source, &as_asked(options, reference), activations)?;
    drop(working);
    subject.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    if !config.quiet {
        let plan = &subject.plan;
        eprintln!("{} on {}, {} planned", plan.family, plan.backend, mebibytes(plan.total()));
    }
    Ok(subject)
}

/// Opens an engine over a reference.
pub fn open_reference(
    config: &Config,
    reference: &Path,
    options: &EngineOptions,
) -> Result<Engine, Failure> {
    let config = Config { model: Some(reference.to_owned()), ..config.clone() };
    report::open(&config, &as_asked(options, Some(reference)))
}

/// A packed file that was named belongs to the model, as adapters do; the reference has one beside
/// it or none.
fn as_asked(options: &EngineOptions, reference: Option<&Path>) -> EngineOptions {
    let mut options = options.clone();
    if reference.is_some() {
        options.adapters.clear();
    }
    if let (Some(_), edgeformer::PackedWeights::File(_)) = (reference, &options.packed) {
        options.packed = edgeformer::PackedWeights::Beside;
    }
    options
}
