//! The records of a run in a file, to go on from.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use edgeformer_models::atomic::write_atomically;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Changes when records mean something else.
const VERSION: u32 = 1;

/// Bytes that such a file may have: a record of a window takes some kilobytes.
const LONGEST: u64 = 1 << 30;

/// What a run is bound to, by the name that people know it under.
pub type Bound = (String, String);

#[derive(Serialize)]
struct Saved<'a, T> {
    edgeformer_evaluation: u32,
    bound: &'a [Bound],
    records: &'a [T],
}

#[derive(Deserialize)]
struct Restored<T> {
    edgeformer_evaluation: u32,
    bound: Vec<Bound>,
    records: Vec<T>,
}

/// Writes the records whole or not at all.
pub fn save<T: Serialize>(path: &Path, bound: &[Bound], records: &[T]) -> Result<()> {
    let saved = Saved { edgeformer_evaluation: VERSION, bound, records };
    Ok(write_atomically(path, |out| Ok(serde_json::to_writer(out, &saved)?))?)
}

/// The records of an earlier run, none if there is no file.
pub fn restore<T: DeserializeOwned>(path: &Path, bound: &[Bound], most: usize) -> Result<Vec<T>> {
    let wrong = |problem: String| Error::EvaluationFile { path: path.to_owned(), problem };
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file.take(LONGEST)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let restored: serde_json::Result<Restored<serde_json::Value>> = serde_json::from_reader(file);
    let restored =
        restored.map_err(|error| wrong(format!("this is no state of edgeformer eval: {error}")))?;
    if restored.edgeformer_evaluation != VERSION {
        let version = restored.edgeformer_evaluation;
        return Err(wrong(format!(
            "it was written by another release (version {version}, this one reads {VERSION}): name another file with --resume"
        )));
    }
    check_bound(&restored.bound, bound).map_err(wrong)?;
    if restored.records.len() > most {
        let count = restored.records.len();
        return Err(wrong(format!("it has {count} records, the run has {most}: it is damaged")));
    }
    let records: serde_json::Result<Vec<T>> =
        restored.records.into_iter().map(serde_json::from_value).collect();
    records.map_err(|error| wrong(format!("a record is damaged: {error}")))
}

/// Whether the file is of this run; if not, in what it differs.
fn check_bound(theirs: &[Bound], ours: &[Bound]) -> Result<(), String> {
    if let Some(((name, _), _)) = ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs) {
        return Err(format!(
            "it is the state of another run, with another {name}: run that one again, or name another file with --resume"
        ));
    }
    if ours.len() != theirs.len() {
        return Err("it is the state of another run: name another file with --resume".into());
    }
    Ok(())
}
