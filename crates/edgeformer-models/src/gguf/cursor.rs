//! Reading a file's fields one after the other, never past its end.

use std::path::Path;

use super::MAX_KEY;
use crate::error::quote;
use crate::{Error, Result};

/// A place in the bytes of a file, and whose entry is being read, for messages.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    entry: Option<(&'static str, &'a str)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8], at: usize) -> Self {
        Self { path, bytes, at, entry: None }
    }

    /// Bytes from the beginning of the file.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The same file at another place.
    pub(super) fn moved(&self, at: usize) -> Self {
        Self { at, entry: None, ..*self }
    }

    /// The bytes read since `start`, an earlier state of this cursor.
    pub(super) fn since(&self, start: &Self) -> &'a [u8] {
        &self.bytes[start.at..self.at]
    }

    /// Bytes to the end of the file.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// From here on messages name the key or tensor whose entry this is.
    pub(super) fn enter(&mut self, kind: &'static str, name: &'a str) {
        self.entry = Some((kind, name));
    }

    pub(super) fn leave(&mut self) {
        self.entry = None;
    }

    /// An error at this place.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        self.error_at(self.at, problem)
    }

    fn error_at(&self, at: usize, problem: impl Into<String>) -> Error {
        let place = match self.entry {
            Some((kind, name)) => format!("{kind} {}, offset {at}", quote(name)),
            None => format!("offset {at}"),
        };
        Error::format(self.path, place, problem)
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or_else(|| {
            self.error(format!(
                "{what} takes {len} bytes, the file has {} left: it is truncated or damaged, \
                 get or convert it again",
                rest.len()
            ))
        })?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let bytes = self.take(N, what)?;
        Ok(bytes.try_into().expect("take gives as many bytes as asked for"))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of things of at least `smallest` bytes each that must still fit into the file.
    pub(super) fn count(&mut self, smallest: usize, what: &str) -> Result<usize> {
        let start = self.at;
        let count = self.u64(what)?;
        self.check_count(start, count, smallest, what)
    }

    /// Whether `count` things of at least `smallest` bytes fit into what follows.
    pub(super) fn check_count(
        &self,
        start: usize,
        count: u64,
        smallest: usize,
        what: &str,
    ) -> Result<usize> {
        let room = self.left() / smallest;
        let fits = usize::try_from(count).ok().filter(|count| *count <= room);
        fits.ok_or_else(|| {
            self.error_at(
                start,
                format!(
                    "{what} is {count}, the rest of the file has room for {room} at most: it is \
                     truncated or damaged, get or convert it again"
                ),
            )
        })
    }

    /// A string of at most `limit` bytes: its length, then UTF-8.
    pub(super) fn string(&mut self, limit: usize, what: &str) -> Result<&'a str> {
        let start = self.at;
        let len = self.u64(what)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= limit).ok_or_else(|| {
            self.error_at(
                start,
                format!("{what} is said to have {len} bytes, at most {limit} are allowed: the file is damaged, get or convert it again"),
            )
        })?;
        let bytes = self.take(len, what)?;
        std::str::from_utf8(bytes).map_err(|error| {
            self.error_at(
                start + 8 + error.valid_up_to(),
                format!("{what} is not valid UTF-8: convert the model again"),
            )
        })
    }

    pub(super) fn key(&mut self) -> Result<&'a str> {
        self.string(MAX_KEY, "a key")
    }
}
