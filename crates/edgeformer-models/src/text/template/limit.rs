//! A buffer with a bottom: a template that prints without end fills it and stops.

use std::io::{self, Write};

use crate::{Error, Result};

/// Collects bytes up to a limit.
pub(super) struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Limited {
    /// An empty buffer.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, full: false }
    }

    /// Bytes it takes at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether more came than it takes.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The bytes as text.
    pub fn into_string(self) -> Result<String> {
        String::from_utf8(self.bytes)
            .map_err(|_| Error::Text("the chat template prints invalid UTF-8".to_owned()))
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.full = true;
            return Err(io::Error::other("the limit is reached"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
