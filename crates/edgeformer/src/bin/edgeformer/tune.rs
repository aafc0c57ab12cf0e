use std::time::Duration;

use edgeformer::tuning::{MachineKey, ModelKey, Profile, Trial, Tune, Tuning, tune};
use edgeformer::{EngineOptions, ModelSource};
use edgeformer_models::OpenOptions;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::progress::Working;
use crate::{args, output};

/// What `--json` prints.
#[derive(Serialize)]
struct Found<'a> {
    machine: &'a MachineKey,
    #[serde(flatten)]
    tuning: &'a Tuning,
    profile: &'a std::path::Path,
}

pub fn run(command: &args::Tune) -> Outcome {
    let config = command.model.config_for(command.source.as_deref())?;
    let folder = config.cache_folder().ok_or_else(|| {
        Failure::Failed("there is no folder to remember it in: set EDGEFORMER_CACHE".into())
    })?;
    let options = EngineOptions::from(&config);
    let source = ModelSource::from_path(config.model.as_deref());
    let file = source.open_adapted(&OpenOptions { tokenizer: false }, &options.adapters)?;
    let machine = MachineKey::of(&file.model.graph, &options)?;

    let working = Working::on(format!("tuning {source}"), config.quiet);
    let limit = Duration::from_secs_f64(command.seconds);
    let progress = |what: &str| working.tell(format!("tuning {source}: {what}"));
    let tuning = tune(&file, &options, &Tune { limit, progress: &progress })?;
    drop(working);

    let path = Profile::remember(&folder, &machine, ModelKey::of(&file), tuning.clone())?;
    if command.json {
        return output::show_json(&Found { machine: &machine, tuning: &tuning, profile: &path });
    }
    output::show(&table(&tuning))?;
    if !config.quiet {
        eprintln!("{:.1} s; written to {}", tuning.seconds, path.display());
    }
    Ok(())
}

/// What was measured, the chosen values marked.
fn table(tuning: &Tuning) -> String {
    let heading = format!(
        "  {:<14} {:>9} {:>10} {:>6} {:>7}\n",
        "setting", "value", "tokens/s", "noise", "rounds"
    );
    let lines = tuning.trials.iter().map(line);
    let skipped = tuning.skipped.iter().map(|told| format!("  {told}\n"));
    std::iter::once(heading).chain(lines).chain(skipped).collect()
}

fn line(trial: &Trial) -> String {
    let mark = if trial.chosen { '*' } else { ' ' };
    let usual = if trial.usual { "  usual" } else { "" };
    format!(
        "{mark} {:<14} {:>9} {:>10.1} {:>4.0} % {:>7}{usual}\n",
        trial.setting,
        trial.value,
        trial.tokens_per_second,
        trial.noise * 100.0,
        trial.rounds
    )
}
