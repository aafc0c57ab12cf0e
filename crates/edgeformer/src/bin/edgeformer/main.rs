//! The command line of EdgeFormer.
#![forbid(unsafe_code)]

mod args;
mod calibrate;
mod chat;
mod classify;
mod convert;
#[cfg(feature = "train")]
mod curate;
mod devices;
mod embed;
mod eval;
#[cfg(feature = "onnx")]
mod export;
mod failure;
#[cfg(feature = "train")]
mod finetune;
mod generate;
mod inspect;
mod interrupt;
mod logits;
#[cfg(feature = "train")]
mod merge;
mod output;
mod pack;
mod plan;
mod progress;
mod quantize;
mod report;
mod saved;
#[cfg(feature = "train")]
mod surroundings;
mod table;
#[cfg(feature = "train")]
mod train;
mod tune;
mod tune_window;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Generate(command) => generate::run(command),
        Command::Chat(command) => chat::run(command),
        Command::Embed(command) => embed::run(command),
        Command::Logits(command) => logits::run(command),
        Command::Classify(command) => classify::run(command),
        Command::Inspect(command) => inspect::run(command),
        Command::Devices(command) => devices::run(command),
        Command::Plan(command) => plan::run(command),
        Command::Pack(command) => pack::run(command),
        Command::Convert(command) => convert::run(command),
        #[cfg(feature = "onnx")]
        Command::Export(command) => export::run(command),
        #[cfg(feature = "train")]
        Command::Merge(command) => merge::run(command),
        #[cfg(feature = "train")]
        Command::Finetune(command) => finetune::run(command),
        #[cfg(feature = "train")]
        Command::Train(command) => train::run(command),
        #[cfg(feature = "train")]
        Command::Tokenizer(command) => train::tokenizer(command),
        Command::Tune(command) => tune::run(command),
        Command::TuneWindow(command) => tune_window::run(command),
        Command::Eval(command) => eval::run(command),
        Command::Calibrate(command) => calibrate::run(command),
        Command::Quantize(command) => quantize::run(command),
        #[cfg(feature = "train")]
        Command::Curate(command) => curate::run(command),
    };
    failure::exit_code(result)
}
