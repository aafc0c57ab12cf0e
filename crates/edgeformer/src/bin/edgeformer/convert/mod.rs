mod attention;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};
use serde::Serialize;

use self::attention::Attention;
use crate::failure::{Failure, Outcome};
use crate::interrupt::{self, Answering};
use crate::progress::Working;
use crate::report::mebibytes;
use crate::{args, output};

/// What was written.
#[derive(Serialize)]
struct Converted<'a> {
    output: &'a Path,
    tensors: usize,
    bytes: u64,
    seconds: f64,
    #[serde(flatten)]
    attention: Option<Attention<'a>>,
}

pub fn run(command: &args::Convert) -> Outcome {
    let conversion = attention::asked(&command.attention)?;
    check_output(command)?;
    let start = Instant::now();
    let checkpoint = Checkpoint::open(&command.input)?;
    let (checkpoint, converted) = match &conversion {
        Some(conversion) => {
            let (checkpoint, done) = attention::convert(command, conversion, &checkpoint)?;
            (checkpoint, Some(done))
        }
        None => (checkpoint, None),
    };
    let (tensors, bytes) = write(command, checkpoint)?;
    let attention = converted.map(|done| done.judged(command)).transpose()?;
    let seconds = start.elapsed().as_secs_f64();
    let done = Converted { output: &command.output, tensors, bytes, seconds, attention };
    if command.json {
        return output::show_json(&done);
    }
    let told = done.attention.as_ref().map(Attention::told).unwrap_or_default();
    output::show(&format!(
        "{}: {tensors} tensors, {}, {seconds:.1} s\n{told}",
        command.output.display(),
        mebibytes(bytes)
    ))?;
    Ok(())
}

/// Whether OUT may be written.
fn check_output(command: &args::Convert) -> Outcome {
    let args::Convert { input, output, force, .. } = command;
    if !output.exists() {
        return Ok(());
    }
    let whole = |path: &PathBuf| path.canonicalize().ok();
    if whole(input).is_some() && whole(input) == whole(output) {
        return Err(Failure::Usage("IN and OUT are the same: name another OUT".into()));
    }
    if *force {
        return Ok(());
    }
    Err(Failure::Failed(format!("{}: is there already: --force replaces it", output.display())))
}

/// Writes OUT: its tensors and their bytes.
fn write(command: &args::Convert, checkpoint: Checkpoint) -> Result<(usize, u64), Failure> {
    interrupt::install().map_err(|error| Failure::Failed(error.to_string()))?;
    let answering = Answering::start();
    let what = format!("converting {}", command.input.display());
    let working = Working::bytes(what, command.quiet);
    let progress = |written, all| {
        working.reach(written, all);
        match answering.stopped() {
            true => Err(io::Error::other("interrupted: nothing was written")),
            false => Ok(()),
        }
    };
    let size = |tensors: &[LazyTensor]| {
        (tensors.len(), tensors.iter().map(LazyTensor::bytes).sum::<u64>())
    };
    if is_gguf(&command.output) {
        let checkpoint = checkpoint.with_outtype(command.outtype);
        checkpoint.write_gguf_telling(&command.output, &progress)?;
        return Ok(size(&checkpoint.tensors));
    }
    let folder = checkpoint.to_hf(command.outtype)?;
    folder.write(&command.output, &mut { progress })?;
    Ok(size(folder.tensors()))
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
