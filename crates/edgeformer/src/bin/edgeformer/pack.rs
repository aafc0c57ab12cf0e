use std::io;

use edgeformer::{EngineOptions, ModelSource, Packed, pack, verify_packed};

use crate::failure::{Failure, Outcome};
use crate::interrupt::{self, Answering};
use crate::progress::Working;
use crate::report::mebibytes;
use crate::{args, output};

pub fn run(command: &args::Pack) -> Outcome {
    let config = command.model.config_for(command.source.as_deref())?;
    let options = EngineOptions::from(&config);
    let source = ModelSource::from_path(config.model.as_deref());
    // What --packed-file names is where this model's file lies.
    let file = match (&command.output, &config.packed_file) {
        (Some(_), Some(_)) => {
            let problem = "--output and --packed-file name two files: keep one";
            return Err(Failure::Usage(problem.into()));
        }
        (output, packed_file) => output.as_deref().or(packed_file.as_deref()),
    };
    let done = if command.verify {
        let _working = Working::on(format!("reading {source}"), config.quiet);
        verify_packed(&source, &options, file)?
    } else {
        interrupt::install().map_err(|error| Failure::Failed(error.to_string()))?;
        let answering = Answering::start();
        let working = Working::bytes(format!("packing {source}"), config.quiet);
        let progress = |written, all| {
            working.reach(written, all);
            match answering.stopped() {
                true => Err(io::Error::other("interrupted: nothing was written")),
                false => Ok(()),
            }
        };
        pack(&source, &options, file, &progress)?
    };
    if command.json {
        return output::show_json(&done);
    }
    output::show(&told(&done, command.verify))?;
    Ok(())
}

fn told(done: &Packed, verified: bool) -> String {
    let Packed { packed_file, summary, seconds } = done;
    let what = if verified { "as packed" } else { "packed" };
    format!(
        "{}: {} tensors {what}, {}, {seconds:.1} s\n",
        packed_file.display(),
        summary.tensors,
        mebibytes(summary.bytes)
    )
}
