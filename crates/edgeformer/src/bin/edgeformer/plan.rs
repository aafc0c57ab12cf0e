use edgeformer::{EngineOptions, ModelSource};
use serde_json::json;

use crate::args::Plan;
use crate::failure::Outcome;
use crate::report::mebibytes;
use crate::{output, table};

pub fn run(command: &Plan) -> Outcome {
    let config = command.model.config_with(&command.cache)?;
    let source = ModelSource::from_path(config.model.as_deref());
    let options = EngineOptions { explain: command.explain, ..EngineOptions::from(&config) };
    let plan = edgeformer::Plan::of(&source, &options)?;
    if command.json {
        let mut value = serde_json::to_value(&plan).map_err(std::io::Error::from)?;
        value["total"] = json!(plan.total());
        value["fits"] = json!(plan.longest_context.is_none());
        return output::show_json(&value);
    }
    output::show(&summary(&plan))?;
    if command.explain {
        output::show(&table::explain(&plan))?;
    }
    if let Some(longest) = plan.longest_context {
        let counted = mebibytes(plan.counted());
        let budget = plan.budget.bytes.map_or("none".into(), mebibytes);
        output::show(&format!(
            "does not fit: {counted} count against a budget of {budget}; the longest context that fits is {longest}\n"
        ))?;
    }
    Ok(())
}

fn summary(plan: &edgeformer::Plan) -> String {
    let session = &plan.session;
    let mut rows = vec![
        ("weights", plan.footprint.weights),
        ("KV cache", plan.footprint.cache),
        ("scratch", plan.footprint.scratch),
        ("tokenizer", plan.tokenizer),
        ("program", plan.program),
    ];
    if plan.draft > 0 {
        rows.push(("draft", plan.draft));
    }
    rows.push(("total", plan.total()));
    let mut text = format!(
        "{} on {}, context {}, {} sequence(s), chunk {}, cache {}/{}\n",
        plan.family,
        plan.backend,
        session.context,
        session.sequences,
        session.chunk,
        session.cache_type_k.name(),
        session.cache_type_v.name()
    );
    for (name, bytes) in rows {
        text += &format!("{name:>10}  {:>12}  {bytes}\n", mebibytes(bytes));
    }
    text + &format!("KV cache of a token: {} bytes\n", plan.footprint.cache_per_token)
}
