use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use crate::make_model;
use crate::run::{Result, cargo, read, root, run};

const MODELS: [&str; 2] = ["smollm-135m", "qwen-0.5b"];
const FORMATS: [&str; 2] = ["q4_0", "f16"];
const CONTEXTS: [usize; 2] = [512, 4096];

/// How far the plan may be from what is measured.
const TOLERANCE: f64 = 0.05;

/// Tokens of context that the answer takes; the prompt fills the rest.
const ANSWER: usize = 8;

/// Compare what `plan` predicts with the peak resident memory of a run that fills the context.
#[derive(Debug, Args)]
pub struct PlanAccuracy {
    /// Only models of this name
    #[arg(long)]
    model: Option<String>,
}

impl PlanAccuracy {
    pub fn run(&self) -> Result<()> {
        run(cargo().args(["build", "--release", "--package", "edgeformer"]))?;
        println!(
            "| model | format | context | weights | KV cache | scratch | tokenizer | program | plan | peak | plan / peak |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        let mut worst: f64 = 0.0;
        for name in
            MODELS.iter().filter(|name| self.model.as_deref().is_none_or(|only| only == **name))
        {
            for format in FORMATS {
                let file = make_model::kept(name, format)?;
                for context in CONTEXTS {
                    worst = worst.max(compare(name, format, &file, context)?);
                }
            }
        }
        if worst <= TOLERANCE {
            return Ok(());
        }
        Err(format!(
            "a plan is {:.1} % off, at most {:.0} % are allowed",
            worst * 100.0,
            TOLERANCE * 100.0
        ))
    }
}

/// Prints a row and returns how far off the plan is.
fn compare(name: &str, format: &str, file: &Path, context: usize) -> Result<f64> {
    let size = context.to_string();
    let plan = edgeformer(&["plan", "--json", "--ctx-size", &size], file)?;
    // The vocabulary is bytes: a letter is a token.
    let prompt = "ab ".repeat(context)[..context - ANSWER].to_string();
    let answer = [
        "generate",
        "--json",
        "--temperature",
        "0",
        "--ignore-eos",
        "--ctx-size",
        &size,
        "-n",
        "4",
        &prompt,
    ];
    let answer = edgeformer(&answer, file)?;
    let peak = bytes(&answer["report"]["peak_resident_bytes"])?;
    let total = bytes(&plan["total"])?;
    let part =
        |value: &Value| bytes(value).map(|bytes| format!("{:.1}", bytes / f64::from(1 << 20)));
    let footprint = &plan["footprint"];
    println!(
        "| {name} | {format} | {context} | {} | {} | {} | {} | {} | {} | {} | {:.3} |",
        part(&footprint["weights"])?,
        part(&footprint["cache"])?,
        part(&footprint["scratch"])?,
        part(&plan["tokenizer"])?,
        part(&plan["program"])?,
        part(&plan["total"])?,
        part(&answer["report"]["peak_resident_bytes"])?,
        total / peak
    );
    Ok((total / peak - 1.0).abs())
}

fn edgeformer(arguments: &[&str], model: &Path) -> Result<Value> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut command = Command::new(target.join("release/edgeformer"));
    let text = read(command.args(arguments).arg("--model").arg(model))?;
    serde_json::from_str(&text).map_err(|error| format!("edgeformer {}: {error}", arguments[0]))
}

fn bytes(value: &Value) -> Result<f64> {
    value
        .as_f64()
        .ok_or_else(|| format!("{value} is no number of bytes: does the system tell its memory?"))
}
