//! Developer tasks: `cargo xtask TASK`.

mod arm;
mod backends;
mod bench;
mod ci;
mod compare;
mod curation;
mod edgeformer;
mod make_model;
mod plan_accuracy;
mod run;
mod setup_ort;
mod small_llama;
mod tidy;
mod train_tiny;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer tasks of EdgeFormer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Everything that continuous integration checks
    Ci(ci::Ci),
    /// Cross-compile the tests for 64-bit ARM and run them under emulation
    TestArm(arm::TestArm),
    /// Check the rules of the house: file lengths, unsafe code, crate arrows, dependency counts
    Tidy,
    /// Run the conformance suite over every backend and write docs/backends.md
    Backends(backends::Backends),
    /// Write a GGUF file with random weights in real shapes
    MakeModel(make_model::MakeModel),
    /// Compare what `plan` predicts with the memory that runs take
    PlanAccuracy(plan_accuracy::PlanAccuracy),
    /// Fetch ONNX Runtime from PyPI, check its digest, and put it where the backend looks
    SetupOrt(setup_ort::SetupOrt),
    /// Measure what choices cost and give: memory, speed, quality
    Bench(Box<bench::Bench>),
    /// Measure what curation is worth: random, curated and clean records learned side by side
    Curation(curation::Curation),
    /// Train the embedded model anew
    TrainTiny(train_tiny::TrainTiny),
    /// Devices side by side: tokens a second and memory over the length of a sequence
    Compare(compare::Compare),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Ci(ci) => ci.run(),
        Task::TestArm(arm) => arm.run(),
        Task::Tidy => tidy::run().inspect(|()| println!("every rule holds")),
        Task::Backends(backends) => backends.run(),
        Task::MakeModel(make) => make.run(),
        Task::PlanAccuracy(accuracy) => accuracy.run(),
        Task::SetupOrt(setup) => setup.run(),
        Task::Bench(bench) => bench.run(),
        Task::Curation(curation) => curation.run(),
        Task::TrainTiny(train) => train.run(),
        Task::Compare(compare) => compare.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
