//! What saved sequences of every backend are made of: streams that are hashed, and the number that
//! tells models apart.

use std::io::{ErrorKind, Read, Write};

use crate::{Error, Model, Result};

/// Bytes looked at in the middle of every tensor: reading all would read the model.
const SAMPLE: usize = 64;

/// FNV-1a, 64 bits (RFC 9923).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Hashes more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Model {
    /// A number that differs between models: of the graph, the formats of the weights, and a
    /// sample of each tensor. The same on every machine.
    ///
    /// # Errors
    /// If a weight that the graph names is absent.
    pub fn fingerprint(&self) -> Result<u64> {
        let mut hash = Fnv::default();
        hash.add(self.graph.to_text().as_bytes());
        for info in &self.graph.weights {
            for part in self.weights.get(&info.name)?.parts() {
                hash.add(part.format().name().as_bytes());
                let bytes = part.bytes();
                let middle = bytes.len() / 2;
                hash.add(&bytes[middle..bytes.len().min(middle + SAMPLE)]);
            }
        }
        Ok(hash.0)
    }
}

/// A saved sequence that cannot be read, and why.
pub fn refused(problem: impl Into<String>) -> Error {
    Error::SavedSequence(problem.into())
}

/// A stream that hashes what goes through it; its hash is its end.
pub struct Hashing<T> {
    /// The stream itself: what goes past the hash.
    pub inner: T,
    hash: Fnv,
}

impl<T> Hashing<T> {
    /// A stream that begins here.
    pub fn new(inner: T) -> Self {
        Self { inner, hash: Fnv::default() }
    }
}

impl Hashing<&mut (dyn Write + '_)> {
    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.add(bytes);
        Ok(self.inner.write_all(bytes)?)
    }

    /// Writes a number, 8 bytes.
    pub fn number(&mut self, number: usize) -> Result<()> {
        self.write(&(number as u64).to_le_bytes())
    }

    /// Writes floats, 4 bytes each.
    pub fn floats(&mut self, floats: &[f32]) -> Result<()> {
        floats.iter().try_for_each(|float| self.write(&float.to_le_bytes()))
    }

    /// Ends the stream with the hash of all of it.
    pub fn finish(self) -> Result<()> {
        self.inner.write_all(&self.hash.0.to_le_bytes())?;
        Ok(self.inner.flush()?)
    }
}

impl Hashing<&mut (dyn Read + '_)> {
    /// Reads as many bytes as there is room for.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => refused("it ends too early: it is truncated"),
            _ => Error::Io(error),
        })?;
        self.hash.add(bytes);
        Ok(())
    }

    /// Reads so many bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a number, 8 bytes.
    pub fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a number that is at most `most`; `what` it counts.
    pub fn at_most(&mut self, most: usize, what: &str) -> Result<usize> {
        let number = self.number()?;
        let found = usize::try_from(number).ok().filter(|&number| number <= most);
        found.ok_or_else(|| refused(format!("{what}: {number}, at most {most}: it is damaged")))
    }

    /// Fills `floats`, each `what`.
    ///
    /// # Errors
    /// If there are fewer, or one is not finite.
    pub fn floats(&mut self, floats: &mut [f32], what: &str) -> Result<()> {
        for float in floats {
            *float = f32::from_le_bytes(self.array()?);
            if !float.is_finite() {
                return Err(refused(format!("{what} is not finite: it is damaged")));
            }
        }
        Ok(())
    }

    /// Reads the hash that ends the stream.
    ///
    /// # Errors
    /// If it is not that of what was read.
    pub fn finish(mut self) -> Result<()> {
        let hash = self.hash.0;
        if self.number()? == hash {
            return Ok(());
        }
        Err(refused("its checksum does not match: it is damaged"))
    }
}
