use edgeformer::{EngineOptions, ModelSource};
use serde_json::json;

use crate::args::Plan;
use crate::failure::Outcome;
use crate::output;
use crate::report::mebibytes;

pub fn run(command: &Plan) -> Outcome {
    let config = command.model.config()?;
    let source = ModelSource::from_path(config.model.as_deref());
    let plan = edgeformer::Plan::of(&source, &EngineOptions::from(&config))?;
    let fits = plan.excess().is_none();
    if command.json {
        let mut value = serde_json::to_value(&plan).map_err(std::io::Error::from)?;
        value["total"] = json!(plan.total());
        value["fits"] = json!(fits);
        return output::show_json(&value);
    }
    let rows = [
        ("weights", plan.footprint.weights),
        ("KV cache", plan.footprint.cache),
        ("scratch", plan.footprint.scratch),
        ("tokenizer", plan.tokenizer),
        ("program", plan.program),
        ("total", plan.total()),
    ];
    output::show(&format!(
        "{} on {}, context {}, {} sequence(s), chunk {}\n",
        plan.family, plan.backend, plan.session.context, plan.session.sequences, plan.session.chunk
    ))?;
    for (name, bytes) in rows {
        output::show(&format!("{name:>10}  {:>12}  {bytes}\n", mebibytes(bytes)))?;
    }
    output::show(&format!("KV cache of a token: {} bytes\n", plan.footprint.cache_per_token))?;
    if let (Some(excess), Some(available)) = (plan.excess(), plan.available) {
        output::show(&format!(
            "does not fit: {} more than the {} available; the longest context that fits is {}\n",
            mebibytes(excess),
            mebibytes(available),
            plan.longest_context(available)
        ))?;
    }
    Ok(())
}
