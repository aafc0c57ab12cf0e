//! Devices side by side.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use edgeformer_bench::compare::{Comparison, findings};
use edgeformer_bench::speed::SpeedReport;
use serde_json::{Value, json};

use crate::run::{Result, root};

/// Devices side by side: tokens a second and memory over the length of a sequence.
#[derive(Debug, Args)]
pub struct Compare {
    /// What `cargo xtask bench --json` has written, a file a device; the first is what the others
    /// are compared with
    #[arg(required = true, value_name = "JSON")]
    files: Vec<PathBuf>,
    /// The folder for charts, one line a device [default: target/compare]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// JSON on standard output, instead of tables
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(&self) -> Result<()> {
        let mut reports = Vec::new();
        for file in &self.files {
            reports.extend(read(file)?);
        }
        let comparisons = Comparison::of(&reports).map_err(|error| error.to_string())?;
        let folder = self.output.clone().unwrap_or_else(|| root().join("target/compare"));
        for comparison in &comparisons {
            for chart in comparison.write_charts(&folder).map_err(|error| error.to_string())? {
                eprintln!("{}", chart.display());
            }
        }
        match self.json {
            true => {
                let objects: Vec<Value> = comparisons.iter().map(object).collect();
                let text = serde_json::to_string_pretty(&objects);
                println!("{}", text.map_err(|error| error.to_string())?);
            }
            false => {
                let texts: Vec<String> = comparisons.iter().map(Comparison::to_markdown).collect();
                print!("{}", texts.join("\n"));
            }
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Vec<SpeedReport>> {
    let named = |error: &dyn ToString| format!("{}: {}", file.display(), error.to_string());
    let text = fs::read_to_string(file).map_err(|error| named(&error))?;
    SpeedReport::from_json_lines(&text).map_err(|error| named(&error))
}

fn object(comparison: &Comparison) -> Value {
    json!({ "comparison": comparison, "findings": findings(comparison) })
}
