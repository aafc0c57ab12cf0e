//! `metrics.jsonl`: a line a step, and one an evaluation.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Line {
    pub step: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
}

impl Line {
    /// A line of a step that says nothing yet.
    pub fn of(step: u64) -> Self {
        Self { step, ..Self::default() }
    }
}

/// The file, open to be continued.
pub(super) struct Metrics {
    path: PathBuf,
    file: BufWriter<File>,
    lines: Vec<Line>,
}

impl Metrics {
    /// The file of a run that has taken so many steps: lines of later ones are dropped, for they
    /// will be taken again.
    pub fn open(folder: &Path, steps: u64) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| Error::io(&path, source))?,
        };
        // A line that was being written when the process died is no JSON.
        let known = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let lines: Vec<Line> = known.filter(|line| line.step <= steps).collect();
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path);
        let file = file.map_err(|source| Error::io(&path, source))?;
        let mut metrics = Self { path, file: BufWriter::new(file), lines: Vec::new() };
        lines.into_iter().try_for_each(|line| metrics.add(line))?;
        Ok(metrics)
    }

    /// Adds a line, which is on its way to the disk at once.
    pub fn add(&mut self, line: Line) -> Result<()> {
        let text = serde_json::to_string(&line)
            .map_err(|error| Error::file(&self.path, error.to_string()))?;
        let written = writeln!(self.file, "{text}").and_then(|()| self.file.flush());
        written.map_err(|source| Error::io(&self.path, source))?;
        self.lines.push(line);
        Ok(())
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> Line {
        Line { loss: Some(0.5), ..Line::of(step) }
    }

    #[test]
    fn a_run_that_goes_on_forgets_what_it_will_take_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(folder.path(), 0).unwrap();
        (1..=5).for_each(|step| metrics.add(line(step)).unwrap());
        let path = folder.path().join("metrics.jsonl");
        let torn = fs::read_to_string(&path).unwrap() + "{\"step\": 6, \"lo";
        fs::write(&path, torn).unwrap();
        let metrics = Metrics::open(folder.path(), 3).unwrap();
        assert!(metrics.lines().iter().map(|line| line.step).eq(1..=3));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
