use edgeformer::EngineOptions;
use edgeformer::evaluate::{self, read_text};

use super::{subject, watch::watched};
use crate::args::Embeddings;
use crate::failure::Outcome;
use crate::{output, report};

pub fn run(command: &Embeddings) -> Outcome {
    let config = command.run.model.config()?;
    let text = read_text(&command.text)?;
    let texts: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let options = EngineOptions::from(&config);
    let reference = subject::open_reference(&config, &command.reference, &options)?;
    let engine = report::open(&config, &options)?;
    let found = watched("embedding", &command.run, &config, &options, |control| {
        evaluate::compare_embeddings(&reference, &engine, &texts, command.pooling, control)
    })?;
    if command.run.json {
        return output::show_json(&found);
    }
    output::show(&format!(
        "cosine {:.6} mean, {:.6} at 1 %, {:.6} least (text {}), {} texts\n",
        found.cosine_mean, found.cosine_p1, found.cosine_min, found.least_alike, found.texts
    ))?;
    Ok(())
}
