use edgeformer::evaluate::{self, Activations, Windows, read_text, text_windows};

use super::{subject, watch::watched};
use crate::args::{Perplexity, WindowArgs};
use crate::failure::{Failure, Outcome};
use crate::output;

pub fn run(command: &Perplexity) -> Outcome {
    let config = command.run.model.config_with(&command.cache)?;
    let text = read_text(&command.windows.text)?;
    let options = subject::for_windows(&config);
    let subject = subject::open(&config, None, &options, Activations::AsUsual)?;
    let windows = windows(&subject, &text, &command.windows)?;
    let found = watched("perplexity", &command.run, &config, &options, |control| {
        evaluate::perplexity(&subject, &windows, control)
    })?;
    if command.run.json {
        return output::show_json(&found);
    }
    output::show(&format!(
        "perplexity {:.4} +/- {:.5}, {} tokens scored in {} windows of {}\n",
        found.perplexity, found.perplexity_error, found.tokens, found.chunks, found.ctx_size
    ))?;
    Ok(())
}

/// The windows that the arguments want of a text.
pub fn windows(
    subject: &evaluate::Subject,
    text: &str,
    arguments: &WindowArgs,
) -> Result<Windows, Failure> {
    let windows = text_windows(subject, text, arguments.stride).map_err(|error| match error {
        edgeformer::Error::Request(problem) => {
            Failure::Failed(format!("{}: {problem}", arguments.text.display()))
        }
        error => error.into(),
    })?;
    Ok(windows.take(arguments.chunks.unwrap_or(usize::MAX)))
}
