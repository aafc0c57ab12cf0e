use edgeformer::{Graph, ModelSource};
use edgeformer_models::{ModelFile, OpenOptions, TensorLine};
use serde_json::json;

use crate::args::{GraphForm, Inspect};
use crate::failure::Outcome;
use crate::output;
use crate::report::mebibytes;

pub fn run(command: &Inspect) -> Outcome {
    let config = command.model.config()?;
    let source = ModelSource::from_path(config.model.as_deref());
    let file = source.open_adapted(&OpenOptions { tokenizer: false }, &config.adapter)?;
    match command.graph {
        Some(form) => show_graph(&file.model.graph, form, command.json),
        None if command.json => show_json(&file),
        None => show_text(&file),
    }
}

fn show_graph(graph: &Graph, form: GraphForm, json: bool) -> Outcome {
    match form {
        _ if json => output::show_json(graph),
        GraphForm::Text => Ok(output::show(&graph.to_text())?),
        GraphForm::Mermaid => Ok(output::show(&graph.to_mermaid())?),
    }
}

fn show_json(file: &ModelFile) -> Outcome {
    let tensor = |line: TensorLine| json!({ "name": line.name, "format": line.format, "shape": line.shape, "bytes": line.bytes });
    let metadata: serde_json::Map<String, serde_json::Value> =
        file.metadata().into_iter().map(|(key, value)| (key, value.into())).collect();
    output::show_json(&json!({
        "family": file.model.graph.name,
        "bytes": file.source.file_len(),
        "metadata": metadata,
        "tensors": file.tensors().into_iter().map(tensor).collect::<Vec<_>>(),
    }))
}

fn show_text(file: &ModelFile) -> Outcome {
    let tensors = file.tensors();
    let elements: usize = tensors.iter().map(|line| line.shape.iter().product::<usize>()).sum();
    let mut text = format!(
        "{}: {} ({} elements in {} tensors)\n\n",
        file.model.graph.name,
        mebibytes(file.source.file_len() as u64),
        elements,
        tensors.len()
    );
    for (key, value) in file.metadata() {
        text += &format!("{key} = {value}\n");
    }
    text.push('\n');
    for TensorLine { name, format, shape, bytes } in &tensors {
        text += &format!("{name:<44} {format:<7} {:<20} {bytes}\n", format!("{shape:?}"));
    }
    Ok(output::show(&text)?)
}
