//! `edgeformer train` and `edgeformer tokenizer`.

use std::fs;

use edgeformer_train::finetune::{Method, Request, write_random};
use edgeformer_train::tokenizer::{BpeRequest, train_bpe};
use serde_json::json;

use crate::args::{Tokenizer, TokenizerTask, Train};
use crate::failure::{Failure, Outcome};
use crate::finetune::{learn, show_plan, strictness, with_run};
use crate::output;
use crate::progress::Working;

pub fn run(command: &Train) -> Outcome {
    // The start is kept: a run that goes on begins where it began.
    let start = command.output.join("initial");
    if !start.is_dir() {
        fs::create_dir_all(&command.output)
            .map_err(|error| Failure::Failed(format!("{}: {error}", command.output.display())))?;
        write_random(&command.config, &start, command.run.seed)?;
    }
    let (data, output) = (command.data.clone(), command.output.clone());
    let request = Request {
        validation: command.validation.clone(),
        validation_share: command.validation_split,
        strictness: strictness(command.strict),
        windows: true,
        stride: command.stride,
        ..Request::new(start, data, output, Method::Full)
    };
    let request = with_run(request, &command.run);
    match command.run.plan {
        true => show_plan(&request, command.json),
        false => learn(&request, command.quiet, command.json),
    }
}

pub fn tokenizer(command: &Tokenizer) -> Outcome {
    let TokenizerTask::Train(command) = &command.task;
    let working = Working::on("learning a vocabulary", command.quiet);
    let count = train_bpe(&BpeRequest {
        files: command.files.clone(),
        vocabulary: command.vocab_size,
        min_frequency: command.min_frequency,
        split_digits: command.split_digits,
        output: command.output.clone(),
    })?;
    drop(working);
    if command.json {
        return output::show_json(&json!({ "output": command.output, "vocabulary": count }));
    }
    Ok(output::show(&format!("{}: {count} tokens\n", command.output.display()))?)
}
