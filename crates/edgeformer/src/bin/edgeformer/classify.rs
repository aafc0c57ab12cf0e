use edgeformer::{Class, EngineOptions, load_image};
use serde::Serialize;

use crate::args::Classify;
use crate::failure::Outcome;
use crate::progress::Working;
use crate::{output, report};

/// What `--json` prints, an object an image.
#[derive(Serialize)]
struct Classified {
    image: String,
    classes: Vec<Class>,
}

pub fn run(command: &Classify) -> Outcome {
    let config = command.model.config()?;
    let options = EngineOptions { tokenizer: false, ..EngineOptions::from(&config) };
    let engine = report::open(&config, &options)?;
    let working = Working::steps("classifying", command.images.len(), config.quiet);
    let mut results = Vec::new();
    for path in &command.images {
        let image = load_image(path)?;
        let classes = engine.classify(&image, command.top)?;
        results.push(Classified { image: path.display().to_string(), classes });
        working.step();
    }
    drop(working);
    if command.json {
        return output::show_json(&serde_json::json!({ "images": results }));
    }
    for Classified { image, classes } in &results {
        output::show(&format!("{image}\n"))?;
        for class in classes {
            output::show(&format!(
                "  {:5.1} %  {} ({})\n",
                class.probability * 100.0,
                class.name,
                class.index
            ))?;
        }
    }
    Ok(())
}
