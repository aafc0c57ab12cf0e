//! Results on stdout.

use std::io::{self, Read, Write};

use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Writes text and lets it be seen at once.
pub fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes one JSON object on a line of its own.
pub fn show_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    Ok(show(&(text + "\n"))?)
}

/// All of stdin as text.
pub fn read_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Failure::Failed(format!(
            "stdin: byte {offset} is not valid UTF-8: convert the text first (iconv -t UTF-8)"
        ))
    })
}
