//! Streams that are hashed.

use std::io::{ErrorKind, Read, Write};

use edgeformer_core::{Error, Result};

use super::saved;

/// FNV-1a, 64 bits (RFC 9923).
pub(super) struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A stream that hashes what goes through it.
pub(crate) struct Hashing<T> {
    pub inner: T,
    hash: Fnv,
}

impl<T> Hashing<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, hash: Fnv::default() }
    }
}

impl Hashing<&mut (dyn Write + '_)> {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.add(bytes);
        Ok(self.inner.write_all(bytes)?)
    }

    pub fn number(&mut self, number: usize) -> Result<()> {
        self.write(&(number as u64).to_le_bytes())
    }

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
    pub fn exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => saved("it ends too early: it is truncated"),
            _ => Error::Io(error),
        })?;
        self.hash.add(bytes);
        Ok(())
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }

    pub fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number that is at most `most`; `what` it counts.
    pub fn at_most(&mut self, most: usize, what: &str) -> Result<usize> {
        let number = self.number()?;
        let found = usize::try_from(number).ok().filter(|&number| number <= most);
        found.ok_or_else(|| saved(format!("{what}: {number}, at most {most}: it is damaged")))
    }

    pub fn floats(&mut self, floats: &mut [f32]) -> Result<()> {
        for float in floats {
            *float = f32::from_le_bytes(self.array()?);
            if !float.is_finite() {
                return Err(saved("an attention weight is not finite: it is damaged"));
            }
        }
        Ok(())
    }

    /// Reads the hash that ends the stream.
    pub fn finish(mut self) -> Result<()> {
        let hash = self.hash.0;
        if self.number()? == hash {
            return Ok(());
        }
        Err(saved("its checksum does not match: it is damaged"))
    }
}
