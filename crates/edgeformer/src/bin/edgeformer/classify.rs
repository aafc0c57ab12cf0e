use std::path::Path;

use edgeformer::{Class, Engine, EngineOptions, load_image};
use serde::Serialize;

use crate::args::Classify;
use crate::failure::{Failure, Outcome};
use crate::progress::Working;
use crate::{output, report};

/// What `--json` prints of an image.
#[derive(Serialize)]
struct ImageClasses<'a> {
    image: &'a str,
    classes: &'a [Class],
}

/// What `--json` prints of a text.
#[derive(Serialize)]
struct TextClasses<'a> {
    text: &'a str,
    classes: &'a [Class],
}

/// What was looked at, by its name, and what it is.
type Classified = (String, Vec<Class>);

pub fn run(command: &Classify) -> Outcome {
    let config = command.model.config()?;
    let of_texts = command.images.is_empty();
    let texts = texts(command)?;
    let options = EngineOptions { tokenizer: of_texts, ..EngineOptions::from(&config) };
    let engine = report::open(&config, &options)?;
    let count = command.images.len() + texts.len();
    let working = Working::steps("classifying", count, config.quiet);
    let mut results: Vec<Classified> = Vec::with_capacity(count);
    for path in &command.images {
        let classes = engine.classify(&load_image(path)?, command.top)?;
        results.push((path.display().to_string(), classes));
        working.step();
    }
    for text in texts {
        let classes = engine.classify_text(&text, command.top)?;
        results.push((text, classes));
        working.step();
    }
    drop(working);
    if command.json {
        return show_json(&results, of_texts);
    }
    results.iter().try_for_each(|result| show(&engine, result))
}

/// The texts of the command line, then the lines of the file.
fn texts(command: &Classify) -> Result<Vec<String>, Failure> {
    let mut texts = command.texts.clone();
    let Some(file) = &command.text_file else { return Ok(texts) };
    let lines = match file == Path::new("-") {
        true => output::read_stdin()?,
        false => std::fs::read_to_string(file)
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?,
    };
    texts.extend(lines.lines().map(str::to_owned));
    if texts.is_empty() {
        return Err(Failure::Failed(format!("{}: there is no text in it", file.display())));
    }
    Ok(texts)
}

fn show_json(results: &[Classified], of_texts: bool) -> Outcome {
    if of_texts {
        let texts = results.iter().map(|(text, classes)| TextClasses { text, classes });
        let texts: Vec<_> = texts.collect();
        return output::show_json(&serde_json::json!({ "texts": texts }));
    }
    let images = results.iter().map(|(image, classes)| ImageClasses { image, classes });
    let images: Vec<_> = images.collect();
    output::show_json(&serde_json::json!({ "images": images }))
}

/// Classes with their shares; the value of a model with one output, which has no other to share
/// with.
fn show(engine: &Engine, (name, classes): &Classified) -> Outcome {
    output::show(&format!("{name}\n"))?;
    let is_value = engine.graph().output_width() == 1;
    for class in classes {
        let told = match is_value {
            true => format!("{:9.4}", class.score),
            false => format!("{:5.1} %", class.probability * 100.0),
        };
        output::show(&format!("  {told}  {} ({})\n", class.name, class.index))?;
    }
    Ok(())
}
