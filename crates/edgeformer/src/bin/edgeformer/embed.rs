use edgeformer::EngineOptions;
use serde::Serialize;

use crate::args::Embed;
use crate::failure::Outcome;
use crate::progress::Working;
use crate::{output, report};

/// What `--json` prints, an object a text.
#[derive(Serialize)]
struct Embedding<'a> {
    index: usize,
    text: &'a str,
    embedding: Vec<f32>,
}

pub fn run(command: &Embed) -> Outcome {
    let config = command.model.config()?;
    let texts = match command.texts.as_slice() {
        [dash] if dash == "-" => output::read_stdin()?.lines().map(str::to_string).collect(),
        texts => texts.to_vec(),
    };
    let engine = report::open(&config, &EngineOptions::from(&config))?;
    let working = Working::steps("embedding", texts.len(), config.quiet);
    let mut embeddings = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let embedding = engine.embed(text, command.pooling)?;
        embeddings.push(Embedding { index, text, embedding });
        working.step();
    }
    drop(working);
    if command.json {
        return output::show_json(&serde_json::json!({ "data": embeddings }));
    }
    for embedding in &embeddings {
        let numbers: Vec<String> = embedding.embedding.iter().map(f32::to_string).collect();
        output::show(&(numbers.join(" ") + "\n"))?;
    }
    Ok(())
}
