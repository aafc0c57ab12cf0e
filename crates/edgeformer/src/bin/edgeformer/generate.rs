use std::io::IsTerminal;

use edgeformer::{EngineOptions, Finish, GenerateOptions};
use serde::Serialize;

use crate::args::Generate;
use crate::failure::{Failure, Outcome};
use crate::report::{self, Report};
use crate::{output, saved};

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    prompt: Option<&'a str>,
    text: &'a str,
    seed: u64,
    #[serde(flatten)]
    finish: &'a Finish,
    report: Report,
}

pub fn run(command: &Generate) -> Outcome {
    let config = command.model.config_with(&command.text)?;
    let prompt = match command.prompt.as_str() {
        "-" => output::read_stdin()?,
        text => text.to_string(),
    };
    let mut options = GenerateOptions::from(&config);
    options.sampling.logit_bias = command.text.sampling.logit_bias.clone();
    let engine_options =
        EngineOptions { explain: command.text.explain, ..EngineOptions::from(&config) };
    let engine = report::open(&config, &engine_options)?;
    let conversation = engine.conversation();
    saved::restore(&conversation, &config)?;

    let mut stream = conversation.generate(prompt.as_str(), &options)?;
    let mut text = String::new();
    if command.echo && !command.json {
        output::show(&prompt)?;
    }
    for piece in stream.by_ref() {
        let piece = piece?;
        if command.json {
            text.push_str(&piece);
        } else {
            output::show(&piece)?;
        }
    }
    let finish =
        stream.finish().ok_or_else(|| Failure::Failed("the answer ended without a word".into()))?;
    saved::keep(&conversation, &config)?;
    let report = Report::of(finish.stats, &engine, command.text.explain)?;
    if command.json {
        let prompt = command.echo.then_some(prompt.as_str());
        return output::show_json(&Answer {
            prompt,
            text: &text,
            seed: options.sampling.seed,
            finish,
            report,
        });
    }
    // A shell prompt wants a line of its own; a file or a pipe wants the text alone.
    if std::io::stdout().is_terminal() {
        output::show("\n")?;
    }
    if !config.quiet {
        eprintln!("{report}; seed {}", options.sampling.seed);
    }
    Ok(())
}
