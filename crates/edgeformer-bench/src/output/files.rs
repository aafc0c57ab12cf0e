use std::path::Path;

use super::Report;
use crate::{Error, Result};

/// A report as JSON, for programs and for later comparisons.
///
/// # Errors
/// If a figure cannot be written as JSON.
pub fn to_json(report: &impl Report) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map(|text| text + "\n")
        .map_err(|error| Error::Request(format!("report {}: {error}", report.name())))
}

/// Writes `NAME.md`, `NAME.json` and `NAME.png` into a folder, which is made if it is not there.
///
/// # Errors
/// If a file cannot be written, or the chart cannot be drawn.
pub fn write(report: &impl Report, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    let forms = [
        ("md", report.to_markdown().into_bytes()),
        ("json", to_json(report)?.into_bytes()),
        ("png", report.to_png()?),
    ];
    for (extension, content) in forms {
        let file = folder.join(format!("{}.{extension}", report.name()));
        std::fs::write(&file, content).map_err(|error| Error::file(&file, error))?;
    }
    Ok(())
}
