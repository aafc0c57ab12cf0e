mod table;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use edgeformer::{EngineOptions, PluginOptions, builtin_backends};
use edgeformer_conformance::{Suite, Verdict, known};
use edgeformer_core::Backend;

use super::Backends;
use crate::run::{Result, root, target};
use table::{Column, Outcome, page};

/// Where the page lies in the repository.
const PAGE: &str = "docs/backends.md";

/// The backends of the page, in the order of its columns, and the device that the suite runs on:
/// the one that every machine has.
const COLUMNS: [(&str, &str); 4] =
    [("cpu", "cpu"), ("cpu-plugin", "cpu"), ("onnx", "cpu"), ("candle", "cpu")];

pub fn run_task(task: &Backends) -> Result<()> {
    let options = EngineOptions {
        plugins: PluginOptions { files: vec![plugin()?], ..PluginOptions::default() },
        ..EngineOptions::default()
    };
    let registry = builtin_backends(&options).map_err(|error| error.to_string())?;
    let mut columns = Vec::new();
    for (name, device) in COLUMNS {
        let named = registry.backends().iter().find(|backend| backend.name() == name);
        let backend = named.ok_or_else(|| format!("no backend {name:?} is registered"))?;
        columns.push(column(backend, device)?);
    }
    let page = page(&columns);
    let path = root().join(PAGE);
    let unwritten = |error| format!("{}: {error}", path.display());
    if !task.check {
        return fs::write(&path, page).map_err(unwritten);
    }
    match fs::read_to_string(&path).map_err(unwritten)? == page {
        true => Ok(()),
        false => {
            Err(format!("{PAGE} says what is not true: `cargo xtask backends` writes it anew"))
        }
    }
}

/// Runs the suite over a backend; its problems are an error.
fn column(backend: &Arc<dyn Backend>, device: &str) -> Result<Column> {
    let name = backend.name();
    // What it lacks is told before any case fails for it.
    backend.devices().map_err(|error| error.to_string())?;
    let known = known::of(name);
    eprintln!("{name}: running the suite");
    let report = Suite::standard().run(backend.as_ref(), device, known);
    let problems = report.problems();
    if !problems.is_empty() {
        return Err(format!("{name}: {} problems:\n{}", problems.len(), problems.join("\n")));
    }
    let outcomes = report.entries.iter().map(|entry| {
        let outcome = match &entry.verdict {
            Verdict::Passed => Outcome::Passed,
            Verdict::Unsupported(why) => Outcome::Unsupported(why),
            Verdict::Skipped(why) => return Err(format!("{}: {why}", entry.case)),
            Verdict::Failed(_) | Verdict::Surprising(_) => unreachable!("these are problems"),
        };
        Ok((entry.case.clone(), outcome))
    });
    Ok(Column { backend: name.to_owned(), outcomes: outcomes.collect::<Result<_>>()? })
}

/// The CPU backend as a plugin, which was built with this task.
fn plugin() -> Result<PathBuf> {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let file = target().join("debug/examples").join(format!("{prefix}cpu_backend_plugin{suffix}"));
    match file.is_file() {
        true => Ok(file),
        false => Err(format!("{} is not there: `cargo xtask backends` builds it", file.display())),
    }
}
