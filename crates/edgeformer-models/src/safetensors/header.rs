//! The header of one file.

use std::path::Path;

use super::json::{self, Count, Entries};
use super::{Dtype, MAX_HEADER};
use crate::error::quote;
use crate::{Error, Result};

/// One tensor of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    pub(super) dtype: Dtype,
    pub(super) shape: Box<[usize]>,
    /// Where its bytes begin and end in the file.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Validates a file: its tensors, ordered by name.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>> {
    let header = header(path, bytes)?;
    let data = 8 + header.len();
    let count = json::parse(header, Count).map_err(|error| json::error(path, "header", &error))?;
    let mut reading = String::new();
    let mut entries =
        json::parse(header, Entries { count, reading: &mut reading }).map_err(|error| {
            let what =
                if reading.is_empty() { "header" } else { &format!("tensor {}", quote(&reading)) };
            json::error(path, what, &error)
        })?;
    check_sizes(path, &mut entries, data)?;
    check_cover(path, &mut entries, data, bytes.len())?;
    check_names(path, &mut entries)?;
    Ok(entries)
}

/// The JSON of the header.
fn header<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let error = |problem: String| Error::format(path, "offset 0", problem);
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return Err(error(format!(
            "a safetensors file begins with 8 bytes, this has {}: it is truncated, get it again",
            bytes.len()
        )));
    };
    let len = u64::from_le_bytes(*len);
    let limit = rest.len().min(MAX_HEADER);
    let fitting = usize::try_from(len).ok().filter(|len| *len <= limit);
    fitting.map(|len| &rest[..len]).ok_or_else(|| {
        error(format!(
            "the header is said to have {len} bytes, at most {limit} are possible here: the file \
             is truncated, damaged or not safetensors, get it again"
        ))
    })
}

/// Turns offsets from the beginning of the data into offsets in the file, and checks that each
/// tensor is as long as its shape says.
fn check_sizes(path: &Path, entries: &mut [Entry], data: usize) -> Result<()> {
    for entry in entries {
        let error = |problem| tensor_error(path, &entry.name, problem);
        if entry.shape.contains(&0) {
            return Err(error(format!("shape {:?} has a zero: remove the tensor", entry.shape)));
        }
        let elements = entry.shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
        let needed = elements.and_then(|elements| elements.checked_mul(entry.dtype.size()));
        let given = entry.end.checked_sub(entry.start);
        if given.is_none() || needed != given {
            return Err(error(format!(
                "shape {:?} of {} does not take the bytes {} to {}: the file is damaged, get or convert it again",
                entry.shape,
                entry.dtype.name(),
                entry.start,
                entry.end
            )));
        }
        let ends = (entry.start.checked_add(data), entry.end.checked_add(data));
        let (Some(start), Some(end)) = ends else {
            return Err(error(
                "its bytes are outside the file: it is damaged, get or convert it again".into(),
            ));
        };
        (entry.start, entry.end) = (start, end);
    }
    Ok(())
}

/// Whether the tensors cover the data exactly.
fn check_cover(path: &Path, entries: &mut [Entry], data: usize, file_len: usize) -> Result<()> {
    entries.sort_unstable_by_key(|entry| (entry.start, entry.end));
    let mut free = data;
    for entry in &*entries {
        let problem = if entry.end > file_len {
            "pass the end of the file: it is truncated or damaged, get it again"
        } else if entry.start < free {
            "overlap another tensor: the file is damaged, get it again"
        } else if entry.start > free {
            "begin after a gap: the file is damaged, get it again"
        } else {
            free = entry.end;
            continue;
        };
        let problem = format!("its bytes at {} to {} {problem}", entry.start, entry.end);
        return Err(tensor_error(path, &entry.name, problem));
    }
    if free == file_len {
        return Ok(());
    }
    let problem = format!(
        "{} bytes follow the last tensor: the file is damaged, get it again",
        file_len - free
    );
    Err(Error::format(path, format!("offset {free}"), problem))
}

fn check_names(path: &Path, entries: &mut [Entry]) -> Result<()> {
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    match entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        None => Ok(()),
        Some(pair) => Err(tensor_error(
            path,
            &pair[0].name,
            "is there twice: the file is damaged, get or convert it again".into(),
        )),
    }
}

fn tensor_error(path: &Path, name: &str, problem: String) -> Error {
    Error::format(path, format!("tensor {}", quote(name)), problem)
}
