use std::path::Path;
use std::time::Instant;

use edgeformer::merge::{Formats, merged};
use edgeformer_models::checkpoint::OutType;
use serde::Serialize;

use crate::convert::{Written, is_gguf};
use crate::failure::Outcome;
use crate::report::mebibytes;
use crate::{args, output};

/// What was written.
#[derive(Serialize)]
struct Merged<'a> {
    output: &'a Path,
    adapters: usize,
    tensors: usize,
    bytes: u64,
    seconds: f64,
}

pub fn run(command: &args::Merge) -> Outcome {
    let args::Merge { model, output, .. } = command;
    Written::check(model, output, command.force)?;
    let start = Instant::now();
    let checkpoint = merged(model, &command.adapter, formats(command))?;
    let written = Written {
        output,
        outtype: command.outtype,
        what: format!("merging into {}", model.display()),
        quiet: command.quiet,
    };
    let (tensors, bytes) = written.write(checkpoint)?;
    let (adapters, seconds) = (command.adapter.len(), start.elapsed().as_secs_f64());
    if command.json {
        return output::show_json(&Merged { output, adapters, tensors, bytes, seconds });
    }
    output::show(&format!(
        "{}: {tensors} tensors, {}, {seconds:.1} s\n",
        output.display(),
        mebibytes(bytes)
    ))?;
    Ok(())
}

/// Weights are rounded once, from f32 to what is written.
fn formats(command: &args::Merge) -> Formats {
    match (command.outtype, is_gguf(&command.output)) {
        (OutType::Auto, true) => Formats::Own,
        (OutType::Auto, false) => Formats::Floats,
        _ => Formats::F32,
    }
}
