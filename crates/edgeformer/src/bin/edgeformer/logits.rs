use std::path::Path;
use std::time::Instant;

use edgeformer::{CacheFormat, Engine, EngineOptions, Evaluation, peak_resident_bytes};
use edgeformer_core::Tensor;
use edgeformer_models::safetensors::{Safetensors, write_safetensors};
use serde_json::json;

use crate::args::Logits;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Working;
use crate::report::{self, mebibytes};

/// Output rows of a step, where the chunk does not say.
const OUTPUT_ROWS: usize = 512;

pub fn run(command: &Logits) -> Outcome {
    let config = command.model.config_with(&command.cache)?;
    let options = EngineOptions {
        // To be compared with other runtimes, which cache in the precision they compute in.
        cache_type_k: config.cache_type_k.or(Some(CacheFormat::F32)),
        cache_type_v: config.cache_type_v.or(Some(CacheFormat::F32)),
        output_rows: Some(config.ubatch_size.unwrap_or(OUTPUT_ROWS)),
        tokenizer: false,
        ..EngineOptions::from(&config)
    };
    let tokens = command.tokens.as_deref().map(read_tokens).transpose()?;
    let options =
        EngineOptions { context: options.context.or(tokens.as_ref().map(Vec::len)), ..options };
    let engine = report::open(&config, &options)?;
    let working = Working::on("computing", config.quiet);
    let start = Instant::now();
    let evaluation = evaluate(&engine, command, tokens.as_deref())?;
    let seconds = start.elapsed().as_secs_f64();
    drop(working);

    let rows = evaluation.rows();
    let name = engine.graph().output.kind.tensor_name();
    // A classifier's one row is written as a vector, as Hugging Face has it for one image.
    let shape = if command.pixels.is_some() && rows.len() == 1 {
        vec![rows.width()]
    } else {
        vec![rows.len(), rows.width()]
    };
    let tensor = Tensor::from_f32(shape.clone(), rows.data()).map_err(edgeformer::Error::from)?;
    write_safetensors(&command.output, &[(name, &tensor)])?;
    if command.json {
        let peak = peak_resident_bytes();
        return output::show_json(
            &json!({ "tensor": name, "shape": shape, "seconds": seconds, "peak_resident_bytes": peak }),
        );
    }
    if !config.quiet {
        let peak = peak_resident_bytes().map_or("unknown".into(), mebibytes);
        eprintln!(
            "{name} {shape:?} in {seconds:.3} s, peak {peak} resident, written to {}",
            command.output.display()
        );
    }
    Ok(())
}

fn evaluate(
    engine: &Engine,
    command: &Logits,
    tokens: Option<&[u32]>,
) -> Result<Evaluation, Failure> {
    match (tokens, &command.pixels) {
        (Some(tokens), _) if engine.graph().vocabulary() > 0 => Ok(engine.evaluate(tokens)?),
        (None, Some(file)) if engine.graph().vocabulary() == 0 => {
            Ok(engine.evaluate_pixels(read_pixels(file)?)?)
        }
        (Some(_), _) => Err(Failure::Usage("the model takes images: use --pixels".into())),
        (None, _) => Err(Failure::Usage("the model takes text: use --tokens".into())),
    }
}

/// `1,2,3`, or the tensor `input_ids` of a file.
fn read_tokens(text: &str) -> Result<Vec<u32>, Failure> {
    let listed: Option<Vec<u32>> = text.split(',').map(|id| id.trim().parse().ok()).collect();
    match listed {
        Some(tokens) => Ok(tokens),
        None => read_token_file(Path::new(text)),
    }
}

fn read_token_file(path: &Path) -> Result<Vec<u32>, Failure> {
    let file = Safetensors::open(path)?;
    let wrong = |problem: &str| {
        Failure::Failed(format!("{}: tensor \"input_ids\": {problem}", path.display()))
    };
    let ids = file.integers("input_ids")?.ok_or_else(|| wrong("is missing"))?;
    ids.iter()
        .map(|id| u32::try_from(id).map_err(|_| wrong(&format!("{id} is no token id"))))
        .collect()
}

fn read_pixels(path: &Path) -> Result<Vec<f32>, Failure> {
    let file = Safetensors::open(path)?;
    let missing =
        || Failure::Failed(format!("{}: tensor \"pixel_values\" is missing", path.display()));
    Ok(file.tensor("pixel_values").ok_or_else(missing)?.to_f32())
}
