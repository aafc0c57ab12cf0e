mod attention;

use std::io;
use std::path::Path;
use std::time::Instant;

use edgeformer_models::checkpoint::{Checkpoint, LazyTensor, OutType};
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
    Written::check(&command.input, &command.output, command.force)?;
    let start = Instant::now();
    let checkpoint = Checkpoint::open(&command.input)?;
    let (checkpoint, converted) = match &conversion {
        Some(conversion) => {
            let (checkpoint, done) = attention::convert(command, conversion, &checkpoint)?;
            (checkpoint, Some(done))
        }
        None => (checkpoint, None),
    };
    let written = Written {
        output: &command.output,
        outtype: command.outtype,
        what: format!("converting {}", command.input.display()),
        quiet: command.quiet,
    };
    let (tensors, bytes) = written.write(checkpoint)?;
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

/// A model to be written, as a file or as a folder.
pub struct Written<'a> {
    pub output: &'a Path,
    pub outtype: OutType,
    /// What is told while it is written.
    pub what: String,
    pub quiet: bool,
}

impl Written<'_> {
    /// Whether OUT may be written.
    pub fn check(input: &Path, output: &Path, force: bool) -> Outcome {
        if !output.exists() {
            return Ok(());
        }
        let whole = |path: &Path| path.canonicalize().ok();
        if whole(input).is_some() && whole(input) == whole(output) {
            return Err(Failure::Usage("IN and OUT are the same: name another OUT".into()));
        }
        if force {
            return Ok(());
        }
        Err(Failure::Failed(format!("{}: is there already: --force replaces it", output.display())))
    }

    /// Writes OUT: its tensors and their bytes.
    pub fn write(self, checkpoint: Checkpoint) -> Result<(usize, u64), Failure> {
        interrupt::install().map_err(|error| Failure::Failed(error.to_string()))?;
        let answering = Answering::start();
        let working = Working::bytes(self.what, self.quiet);
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
        if is_gguf(self.output) {
            let checkpoint = checkpoint.with_outtype(self.outtype);
            checkpoint.write_gguf_telling(self.output, &progress)?;
            return Ok(size(&checkpoint.tensors));
        }
        let folder = checkpoint.to_hf(self.outtype)?;
        folder.write(self.output, &mut { progress })?;
        Ok(size(folder.tensors()))
    }
}

/// Whether a model of that name is written as a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
