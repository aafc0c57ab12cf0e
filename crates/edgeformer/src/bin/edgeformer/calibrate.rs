use edgeformer::ModelSource;
use edgeformer::evaluate::{Activations, Subject, read_text, text_windows};
use edgeformer::quantize::{HessianOptions, calibrate};
use serde::Serialize;

use crate::args;
use crate::eval::subject::for_windows;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::watched;

/// What was recorded.
#[derive(Serialize)]
struct Recorded {
    imatrix: std::path::PathBuf,
    hessians: Option<std::path::PathBuf>,
    weights: usize,
    chunks: u32,
    chunk_size: u32,
}

pub fn run(command: &args::Calibrate) -> Outcome {
    if command.output.exists() && !command.force {
        let output = command.output.display();
        return Err(Failure::Failed(format!(
            "{output} is there already: name another file, or --force"
        )));
    }
    let config = command.model.config_without_adapter(command.source.as_deref())?;
    let source = ModelSource::from_path(config.model.as_deref());
    let text = read_text(&command.text)?;
    let subject = Subject::open(&source, &for_windows(&config), Activations::AsUsual)?;
    let windows = text_windows(&subject, &text, None)
        .map_err(|error| Failure::Failed(format!("{}: {error}", command.text.display())))?;
    let windows = windows.take(command.chunks.unwrap_or(usize::MAX));
    let hessians = command.hessians.as_deref().map(|folder| HessianOptions {
        folder,
        block: command.hessian_block,
        memory: command.hessian_memory.0,
        force: command.force,
    });
    let name =
        command.text.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let calibration = watched(config.quiet, |told| {
        calibrate(&subject, &windows, &[name], hessians.as_ref(), told)
    })?;
    calibration.imatrix.write(&command.output).map_err(edgeformer::Error::from)?;
    let recorded = Recorded {
        imatrix: command.output.clone(),
        hessians: command.hessians.clone(),
        weights: calibration.imatrix.entries.len(),
        chunks: calibration.imatrix.chunks,
        chunk_size: calibration.imatrix.chunk_size,
    };
    if command.json {
        return output::show_json(&recorded);
    }
    output::show(&format!(
        "{}: {} weights, {} windows of {} tokens\n",
        recorded.imatrix.display(),
        recorded.weights,
        recorded.chunks,
        recorded.chunk_size
    ))?;
    Ok(())
}
