//! All records of a file, with the lines as they were.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::records::{Parsed, Record, parse};
use super::{Lines, MAX_LINE};
use crate::{Error, Result};

/// What becomes of a file with lines that are no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// They are left out and listed.
    #[default]
    Skip,
    /// The first one is an error.
    Strict,
}

/// A record of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its line, from 1.
    pub line: u64,
    /// The line as it was, without its end.
    pub raw: String,
    /// What it says.
    pub record: Record,
    /// Its `id`.
    pub id: Option<String>,
    /// Its `source`.
    pub source: Option<String>,
    /// Its `class`.
    pub class: Option<String>,
}

impl Entry {
    /// The class that quotas count: its `class`, else its label.
    pub fn class(&self) -> Option<String> {
        self.class.clone().or_else(|| self.record.label().map(ToString::to_string))
    }
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it, and the remedy.
    pub problem: String,
}

/// The records of a file, in its order. Lines without text are no records and nothing wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pool {
    /// The file.
    pub path: PathBuf,
    /// The records.
    pub entries: Vec<Entry>,
    /// The lines that are none.
    pub bad: Vec<BadLine>,
}

impl Pool {
    /// Reads a file of JSON Lines.
    ///
    /// # Errors
    /// If it cannot be read or has no record; if a line is no record and that is not to be
    /// passed over.
    pub fn open(path: &Path, strictness: Strictness) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error.to_string()))?;
        Self::read(path, BufReader::with_capacity(1 << 18, file), strictness)
    }

    /// Reads JSON Lines from a stream; `path` stands for it in messages.
    ///
    /// # Errors
    /// As [`Pool::open`].
    pub fn read(path: &Path, from: impl BufRead, strictness: Strictness) -> Result<Self> {
        let mut pool = Self { path: path.to_owned(), ..Self::default() };
        for line in Lines::new(from, MAX_LINE) {
            let line = line.map_err(|error| Error::file(path, error.to_string()))?;
            let problem = match line.text.and_then(|text| entry(line.number, text)) {
                Ok(entry) => {
                    pool.entries.extend(entry);
                    continue;
                }
                Err(problem) => problem,
            };
            if strictness == Strictness::Strict {
                return Err(Error::Line { path: path.to_owned(), line: line.number, problem });
            }
            pool.bad.push(BadLine { line: line.number, problem });
        }
        match (pool.entries.is_empty(), pool.bad.first()) {
            (false, _) => Ok(pool),
            (true, Some(bad)) => Err(Error::Line {
                path: path.to_owned(),
                line: bad.line,
                problem: format!("{} (and no other line is a record)", bad.problem),
            }),
            (true, None) => {
                Err(Error::file(path, "there is no record in it: one JSON object a line"))
            }
        }
    }
}

/// The record of a line, `None` where the line is blank.
fn entry(line: u64, raw: String) -> Result<Option<Entry>, String> {
    if raw.trim().is_empty() {
        return Ok(None);
    }
    let Parsed { record, id, source, class } = parse(&raw)?;
    Ok(Some(Entry { line, raw, record, id, source, class }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], strictness: Strictness) -> Result<Pool> {
        Pool::read(Path::new("pool.jsonl"), text, strictness)
    }

    #[test]
    fn bad_lines_are_listed_or_refused_with_their_place() {
        let text = b"{\"text\": \"a\"}\n\n{\"text\": 3}\n{\"text\": \"b\"}\r\n";
        let pool = read(text, Strictness::Skip).unwrap();
        let lines: Vec<u64> = pool.entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [1, 4]);
        assert_eq!(pool.entries[1].raw, "{\"text\": \"b\"}");
        assert_eq!(pool.bad[0].line, 3);
        let told = read(text, Strictness::Strict).unwrap_err().to_string();
        assert!(told.starts_with("pool.jsonl:3: \"text\" must be text"), "{told}");
    }

    #[test]
    fn files_without_records_are_refused() {
        assert!(read(b"\n", Strictness::Skip).unwrap_err().to_string().contains("no record in it"));
        let told = read(b"\nx\n", Strictness::Skip).unwrap_err().to_string();
        assert!(told.starts_with("pool.jsonl:2: no JSON"), "{told}");
        let told = Pool::open(Path::new("/nowhere.jsonl"), Strictness::Skip).unwrap_err();
        assert!(told.to_string().starts_with("/nowhere.jsonl: "));
    }

    proptest! {
        /// Bytes of some lines are overwritten: no panic, every other line is read as before,
        /// and each line is a record or told with its own number.
        #[test]
        fn damaged_lines_are_told_with_their_numbers(
            count in 2usize..12,
            damage in prop::collection::vec((0usize..12, 0usize..40, any::<u8>()), 0..6),
        ) {
            let line = |index: usize| {
                format!("{{\"question\": \"what is {index} of it?\", \"answer\": \"it is {index}\"}}")
            };
            let mut lines: Vec<Vec<u8>> = (0..count).map(|index| line(index).into_bytes()).collect();
            let mut damaged = vec![false; count];
            for (at, byte, value) in damage {
                let (at, value) = (at % count, if value == b'\n' { b'x' } else { value });
                let length = lines[at].len();
                lines[at][byte % length] = value;
                damaged[at] = true;
            }
            // The last one is whole, so that there is a record.
            lines.push(line(count).into_bytes());
            damaged.push(false);
            let pool = read(&lines.join(&b'\n'), Strictness::Skip).unwrap();
            for (index, (bytes, damaged)) in lines.iter().zip(damaged).enumerate() {
                let number = index as u64 + 1;
                let entry = pool.entries.iter().find(|entry| entry.line == number);
                let bad = pool.bad.iter().any(|bad| bad.line == number);
                prop_assert!(entry.is_some() != bad || bytes.iter().all(u8::is_ascii_whitespace));
                if !damaged {
                    prop_assert_eq!(entry.unwrap().raw.as_bytes(), bytes.as_slice());
                }
            }
            let order: Vec<u64> = pool.entries.iter().map(|entry| entry.line).collect();
            prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn any_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_told = read(&bytes, Strictness::Skip);
        }
    }
}
