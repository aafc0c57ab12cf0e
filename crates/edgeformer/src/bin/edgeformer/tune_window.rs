use std::path::Path;

use edgeformer::window_tuning::{SlotSummary, WindowFile, observe, pieces, summarise};
use edgeformer::{Config, Engine, EngineOptions, ModelSource, Visibility};
use edgeformer_models::OpenOptions;
use serde::Serialize;

use crate::args::TuneWindow;
use crate::failure::{Failure, Outcome};
use crate::progress::Working;
use crate::{output, report};

/// What `--json` prints.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    file: &'a WindowFile,
    layers: &'a [SlotSummary],
}

pub fn run(command: &TuneWindow) -> Outcome {
    let config = command.model.config_for(command.source.as_deref())?;
    let text = read_text(&command.text)?;
    let engine = report::open(&config, &options(command, &config)?)?;
    let pieces = pieces(&engine, &text)?;
    let file = tune(command, &config, &engine, &pieces)?;
    file.write(&command.output)?;
    let layers = summarise(&file.windows);
    if command.json {
        return output::show_json(&Found { file: &file, layers: &layers });
    }
    output::show(&table(&layers))?;
    if !config.quiet {
        eprintln!(
            "{} tokens looked at, {} at a time; written to {}",
            file.tokens,
            file.context,
            command.output.display()
        );
    }
    Ok(())
}

/// An engine that observes, over all that the model was trained on.
fn options(command: &TuneWindow, config: &Config) -> Result<EngineOptions, Failure> {
    let context = match config.ctx_size {
        Some(context) => Some(context),
        None => {
            let source = ModelSource::from_path(config.model.as_deref());
            let file = source.open_file(&OpenOptions { tokenizer: false })?;
            file.model.graph.trained_context()
        }
    };
    Ok(EngineOptions {
        context,
        sequences: 1,
        visibility: Visibility { sinks: command.sinks, ..Visibility::default() },
        window_file: None,
        observe_attention: true,
        ..EngineOptions::from(config)
    })
}

fn tune(
    command: &TuneWindow,
    config: &Config,
    engine: &Engine,
    pieces: &[Vec<u32>],
) -> Result<WindowFile, Failure> {
    let working = Working::steps("looking", pieces.len(), config.quiet);
    let observation = observe(engine, pieces, || working.step())?;
    Ok(WindowFile::new(engine.graph(), command.mass, command.sinks, &observation))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let wrong = |problem: String| Failure::Failed(format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        wrong(format!("byte {} is not valid UTF-8", error.utf8_error().valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Err(wrong("there is no text in it".into()));
    }
    Ok(text)
}

fn table(layers: &[SlotSummary]) -> String {
    let heading = format!(
        "{:>5} {:>6} {:>7} {:>7} {:>7} {:>7}\n",
        "layer", "heads", "global", "least", "median", "most"
    );
    let tokens = |window: Option<usize>| window.map_or("-".into(), |tokens| tokens.to_string());
    let lines = layers.iter().map(|layer| {
        format!(
            "{:>5} {:>6} {:>7} {:>7} {:>7} {:>7}\n",
            layer.slot,
            layer.heads,
            layer.global,
            tokens(layer.least),
            tokens(layer.median),
            tokens(layer.most)
        )
    });
    std::iter::once(heading).chain(lines).collect()
}
