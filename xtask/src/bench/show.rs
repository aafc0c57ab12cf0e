use std::fs;
use std::path::PathBuf;

use clap::Args;
use edgeformer_bench::output::{Report, fill, to_json, write};
use edgeformer_bench::speed::SpeedReport;

use crate::run::Result;

/// Where figures go besides standard output.
#[derive(Debug, Args)]
pub struct Show {
    /// A folder for NAME.md, NAME.json, NAME.png and what else there is of it
    #[arg(long)]
    output: Option<PathBuf>,
    /// A document with a place that is marked for the figures: they replace what stands there
    #[arg(long)]
    document: Option<PathBuf>,
    /// Which place of it [default: the one with the measurement's name]
    #[arg(long, requires = "document")]
    place: Option<String>,
    /// JSON on standard output, instead of Markdown
    #[arg(long)]
    pub json: bool,
}

impl Show {
    /// The standard benchmark, of which there is more than of other reports: CSV, JSON lines, SQL.
    /// What could not be measured is told on standard error.
    pub fn speed(&self, report: &SpeedReport) -> Result<()> {
        if let Some(folder) = &self.output {
            report.write_tables(folder).map_err(|error| error.to_string())?;
        }
        self.files(report)?;
        match self.json {
            true => print!("{}", report.to_json_lines().map_err(|error| error.to_string())?),
            false => print!("{}", report.to_markdown()),
        }
        for failure in &report.failures {
            eprintln!("{failure}");
        }
        match report.rows.is_empty() {
            true => Err("nothing could be measured".into()),
            false => Ok(()),
        }
    }

    pub fn report(&self, report: &impl Report) -> Result<()> {
        self.files(report)?;
        match self.json {
            true => print!("{}", to_json(report).map_err(|error| error.to_string())?),
            false => print!("{}", report.to_markdown()),
        }
        Ok(())
    }

    fn files(&self, report: &impl Report) -> Result<()> {
        if let Some(folder) = &self.output {
            write(report, folder).map_err(|error| error.to_string())?;
        }
        if let Some(file) = &self.document {
            let named = |error: &dyn ToString| format!("{}: {}", file.display(), error.to_string());
            let place = self.place.as_deref().unwrap_or(report.name());
            let text = fs::read_to_string(file).map_err(|error| named(&error))?;
            let filled = fill(&text, place, &report.to_markdown());
            let filled = filled.map_err(|error| named(&error))?;
            fs::write(file, filled).map_err(|error| named(&error))?;
        }
        Ok(())
    }
}
