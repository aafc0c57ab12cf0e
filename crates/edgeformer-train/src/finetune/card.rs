//! `TRAINING.md`: what was done, so that it can be done again.

use std::fmt::Write;

use super::request::Request;
use super::work::Finetuned;

/// The card of a run.
pub(super) fn card(request: &Request, done: &Finetuned, data_sha256: &str) -> String {
    let mut text = String::from("# Training\n\n| | |\n|---|---|\n");
    let mut row = |name: &str, value: String| {
        // A pipe would end the cell.
        let value = value.replace('|', "\\|").replace('\n', " ");
        writeln!(text, "| {name} | {value} |").expect("a String takes everything");
    };
    row("base model", request.model.display().to_string());
    row("data", format!("{}, SHA-256 {data_sha256}", request.data.display()));
    row("examples", format!("{} to learn, {} to validate", done.examples, done.validation));
    row(
        "left out",
        format!(
            "{} bad lines, {} without anything to learn, {} cut",
            done.bad_lines, done.empty, done.truncated
        ),
    );
    row("weights that learn", format!("{} of {}", done.trainable, done.weights));
    row("steps", format!("{} of {}, {:.2} epochs", done.steps, done.planned_steps, done.epochs));
    row("learning rate", format!("{}", done.learning_rate));
    row("first loss", number(done.first_loss));
    row("last loss", number(done.last_loss));
    row("first validation loss", number(done.first_validation));
    row(
        "best validation loss",
        match done.best {
            Some((step, loss)) => format!("{loss:.4} at step {step}"),
            None => "not measured".into(),
        },
    );
    if let Some(accuracy) = done.best_accuracy {
        row("best validation accuracy", format!("{:.1} %", 100.0 * accuracy));
    }
    row("ended", done.stopped.into());
    row("time", format!("{:.1} s, {:.0} tokens/s", done.seconds, done.tokens_per_second));
    let memory = &done.memory;
    let again = if memory.gradient_checkpointing { ", activations computed again" } else { "" };
    row(
        "memory planned",
        format!("{} bytes, parts of {} tokens{again}", memory.total, memory.micro_batch_tokens),
    );
    row("machine", request.hardware.clone());
    row("seed", request.seed.to_string());
    row("edgeformer", env!("CARGO_PKG_VERSION").into());
    let settings = serde_json::to_string_pretty(request).unwrap_or_default();
    write!(text, "\n## Settings\n\n```json\n{settings}\n```\n").expect("a String takes everything");
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "not measured".into(), |value| format!("{value:.4}"))
}
