use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Failure, Row};
use crate::device::DeviceRecord;
use crate::limits::Limits;
use crate::output::Report;
use crate::{Error, Result};

/// What the benchmark measured on one device in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeedReport {
    /// On what.
    pub device: DeviceRecord,
    /// What the device can do at most.
    pub limits: Limits,
    /// What was called.
    pub command: String,
    /// The figures.
    pub rows: Vec<Row>,
    /// Cases without figures, and why.
    pub failures: Vec<Failure>,
}

/// A row with everything that it needs to stand alone.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    row: Row,
    command: String,
    device: DeviceRecord,
    limits: Limits,
}

impl SpeedReport {
    /// JSON lines: an object a row, the device and its limits in each, so that lines of several
    /// runs and devices may be put into one file.
    ///
    /// # Errors
    /// If a figure cannot be written as JSON.
    pub fn to_json_lines(&self) -> Result<String> {
        let line = |row: &Row| {
            let line = Line {
                row: row.clone(),
                command: self.command.clone(),
                device: self.device.clone(),
                limits: self.limits.clone(),
            };
            serde_json::to_string(&line)
                .map(|line| line + "\n")
                .map_err(|error| Error::Request(format!("row {}: {error}", row.case)))
        };
        self.rows.iter().map(line).collect()
    }

    /// Reads JSON lines: a report for each device, in the order in which they appear.
    ///
    /// # Errors
    /// If a line is no such object, with its number.
    pub fn from_json_lines(text: &str) -> Result<Vec<Self>> {
        let mut reports: Vec<Self> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let Line { row, command, device, limits } = serde_json::from_str(line)
                .map_err(|error| Error::Request(format!("line {}: {error}", index + 1)))?;
            let same = |report: &&mut Self| {
                report.device == device && report.limits == limits && report.command == command
            };
            match reports.iter_mut().find(same) {
                Some(report) => report.rows.push(row),
                None => {
                    let rows = vec![row];
                    reports.push(Self { device, limits, command, rows, failures: Vec::new() });
                }
            }
        }
        Ok(reports)
    }

    /// Writes `speed.jsonl`, `speed.csv` and `speed.sql` into a folder, which is made if it is not
    /// there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_tables(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        let forms =
            [("jsonl", self.to_json_lines()?), ("csv", self.to_csv()), ("sql", self.to_sql())];
        for (extension, content) in forms {
            let file = folder.join(format!("{}.{extension}", self.name()));
            std::fs::write(&file, content).map_err(|error| Error::file(&file, error))?;
        }
        Ok(())
    }
}

impl Report for SpeedReport {
    fn name(&self) -> &'static str {
        "speed"
    }

    fn to_markdown(&self) -> String {
        super::table::markdown(self)
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        super::chart::png(self)
    }
}

#[cfg(test)]
impl SpeedReport {
    /// A report for tests: a prefill and a decode row, and a failure.
    pub(crate) fn made_up() -> Self {
        let decode = Row {
            case: super::Case::Decode { tokens: 128, depth: 0 },
            tokens_per_second: 50.0,
            spread: crate::Spread::of(&[50.0]).expect("there is a value"),
            peer: None,
            peer_tokens_per_second: None,
            peer_spread: None,
            ratio: None,
            peer_share_of_limit: None,
            peer_peak_rss_bytes: None,
            peer_load_seconds: None,
            peer_time_to_first_token: None,
            energy_joules: Some(1.5),
            ..Row::made_up()
        };
        let failure = Failure {
            model: "toy".into(),
            format: "q4_0".into(),
            case: super::Case::Decode { tokens: 32, depth: 8192 },
            threads: 2,
            problem: "no beads left".into(),
        };
        Self {
            device: DeviceRecord::made_up(),
            limits: Limits::made_up(),
            command: "cargo xtask bench".into(),
            rows: vec![Row::made_up(), decode],
            failures: vec![failure],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_device_by_device() {
        let report = SpeedReport::made_up();
        let mut other = report.clone();
        other.device.name = "Slide rule".into();
        let text = report.to_json_lines().unwrap() + "\n" + &other.to_json_lines().unwrap();
        let back = SpeedReport::from_json_lines(&text).unwrap();
        assert_eq!(back.len(), 2);
        assert_eq!((&back[0].rows, &back[1].rows), (&report.rows, &other.rows));
        assert_eq!(back[1].device, other.device);
        let object: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        for name in [
            "model",
            "format",
            "case",
            "threads",
            "tokens_per_second",
            "peer",
            "peer_tokens_per_second",
            "ratio",
            "share_of_limit",
            "peak_rss_bytes",
            "peer_peak_rss_bytes",
        ] {
            assert!(object.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn lines_that_are_none_are_told_with_their_number() {
        let text = SpeedReport::made_up().to_json_lines().unwrap() + "{\"model\": 1}\n";
        let problem = SpeedReport::from_json_lines(&text).unwrap_err().to_string();
        assert!(problem.starts_with("line 3: "), "{problem}");
    }
}
