use std::path::Path;
use std::time::Instant;

use edgeformer::ModelSource;
use edgeformer_backend_onnx::export;
use edgeformer_models::OpenOptions;
use serde::Serialize;

use crate::failure::Outcome;
use crate::progress::Working;
use crate::report::mebibytes;
use crate::{args, output};

/// What was written.
#[derive(Serialize)]
struct Exported<'a> {
    onnx: &'a Path,
    data: &'a Path,
    nodes: usize,
    bytes: u64,
    seconds: f64,
}

pub fn run(command: &args::Export) -> Outcome {
    let start = Instant::now();
    let source = ModelSource::from_path(command.model.as_deref());
    let options = OpenOptions { tokenizer: false };
    let model = source.open_adapted(&options, &command.adapter)?.model;
    let working = Working::on(format!("writing {}", command.onnx.display()), command.quiet);
    let done = export(&model, &command.onnx, command.force).map_err(edgeformer::Error::from)?;
    drop(working);
    let seconds = start.elapsed().as_secs_f64();
    let (onnx, data) = (done.model.as_path(), done.data.as_path());
    let told = Exported { onnx, data, nodes: done.nodes, bytes: done.data_bytes, seconds };
    if command.json {
        return output::show_json(&told);
    }
    output::show(&format!(
        "{}: {} operators; {}: {}, {seconds:.1} s\n",
        onnx.display(),
        done.nodes,
        data.display(),
        mebibytes(done.data_bytes)
    ))?;
    Ok(())
}
