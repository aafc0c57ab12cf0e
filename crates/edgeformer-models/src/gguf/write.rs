//! Writing a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use edgeformer_core::{Format, Tensor};

use super::value::{MetadataValue, encode_str};
use super::{
    ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, MAX_KEY, MAX_TENSOR_NAME, ggml,
};
use crate::Result;
use crate::atomic::write_atomically;
use crate::error::quote;

/// The version that is written.
const VERSION: u32 = 3;

/// Collects metadata and tensors, then writes them as one file, in the order they were given.
///
/// Mistakes (a name given twice, too long a name) are told when it is written, before the first
/// byte is.
#[derive(Default)]
pub struct GgufWriter<'a> {
    metadata: Vec<(Cow<'a, str>, MetadataValue<'a>)>,
    tensors: Vec<Entry<'a>>,
}

struct Entry<'a> {
    name: String,
    format: Format,
    shape: Vec<usize>,
    source: Source<'a>,
}

type Generate<'a> = Box<dyn Fn(&mut dyn Write) -> io::Result<()> + 'a>;

/// Where the bytes of a tensor come from.
enum Source<'a> {
    Tensor(Tensor),
    Generated(Generate<'a>),
}

impl<'a> GgufWriter<'a> {
    /// A file without metadata and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. `general.alignment` also sets the alignment of the tensors.
    pub fn metadata(
        &mut self,
        key: impl Into<Cow<'a, str>>,
        value: impl Into<MetadataValue<'a>>,
    ) -> &mut Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Adds a tensor.
    pub fn tensor(&mut self, name: impl Into<String>, tensor: &Tensor) -> &mut Self {
        self.tensors.push(Entry {
            name: name.into(),
            format: tensor.format(),
            shape: tensor.shape().to_vec(),
            source: Source::Tensor(tensor.clone()),
        });
        self
    }

    /// Adds a tensor whose bytes are made while the file is written, for models larger than
    /// memory. `generate` must write exactly as many as the format takes for that shape.
    pub fn generated(
        &mut self,
        name: impl Into<String>,
        format: Format,
        shape: impl Into<Vec<usize>>,
        generate: impl Fn(&mut dyn Write) -> io::Result<()> + 'a,
    ) -> &mut Self {
        let source = Source::Generated(Box::new(generate));
        self.tensors.push(Entry { name: name.into(), format, shape: shape.into(), source });
        self
    }

    /// Bytes that the file will have.
    ///
    /// # Errors
    /// If what was added does not make a valid file.
    pub fn file_len(&self) -> io::Result<u64> {
        let alignment = self.check()?;
        let mut len = self.header(alignment)?.len().next_multiple_of(alignment);
        for entry in &self.tensors {
            len += entry.byte_len()?.next_multiple_of(alignment);
        }
        Ok(len as u64)
    }

    /// Writes a file that appears under `path` only when it is complete.
    ///
    /// # Errors
    /// If what was added does not make a valid file, or writing fails.
    pub fn write_file(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| self.write_to(out))
    }

    /// Writes the file to a stream.
    ///
    /// # Errors
    /// If what was added does not make a valid file, or writing fails.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let alignment = self.check()?;
        let header = self.header(alignment)?;
        out.write_all(&header)?;
        let mut written = header.len();
        for entry in &self.tensors {
            written += write_padding(out, written, alignment)?;
            written += entry.write_data(out)?;
        }
        write_padding(out, written, alignment)?;
        Ok(())
    }

    /// Whether a reader would accept the file, and the alignment of its tensors.
    fn check(&self) -> io::Result<usize> {
        check_names("key", MAX_KEY, self.metadata.iter().map(|(key, _)| key.as_ref()))?;
        check_names("tensor", MAX_TENSOR_NAME, self.tensors.iter().map(|entry| &*entry.name))?;
        for entry in &self.tensors {
            entry.byte_len()?;
        }
        let set = self.metadata.iter().find(|(key, _)| key == ALIGNMENT_KEY);
        match set {
            None => Ok(DEFAULT_ALIGNMENT),
            Some((_, MetadataValue::U32(value))) if value.is_power_of_two() => Ok(*value as usize),
            Some(_) => Err(invalid(format!("key {ALIGNMENT_KEY:?} must be a u32, a power of two"))),
        }
    }

    /// Everything before the data of the tensors, without the padding.
    fn header(&self, alignment: usize) -> io::Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            encode_str(key, &mut out);
            out.extend(value.value_type().number().to_le_bytes());
            value.encode(&mut out);
        }
        let mut offset = 0;
        for entry in &self.tensors {
            entry.encode(offset, &mut out);
            offset += entry.byte_len()?.next_multiple_of(alignment);
        }
        Ok(out)
    }
}

impl Entry<'_> {
    fn byte_len(&self) -> io::Result<usize> {
        if self.shape.len() > MAX_DIMENSIONS {
            return Err(self.invalid(format!("more than {MAX_DIMENSIONS} dimensions")));
        }
        self.format.tensor_bytes(&self.shape).map_err(|error| self.invalid(error))
    }

    fn encode(&self, offset: usize, out: &mut Vec<u8>) {
        encode_str(&self.name, out);
        out.extend((self.shape.len() as u32).to_le_bytes());
        for dim in self.shape.iter().rev() {
            out.extend((*dim as u64).to_le_bytes());
        }
        out.extend(ggml::number(self.format).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
    }

    fn write_data(&self, out: &mut dyn Write) -> io::Result<usize> {
        match &self.source {
            Source::Tensor(tensor) => {
                out.write_all(tensor.bytes())?;
                Ok(tensor.bytes().len())
            }
            Source::Generated(generate) => {
                let needed = self.byte_len()?;
                let mut counted = Counted { out, len: 0 };
                generate(&mut counted)?;
                if counted.len == needed {
                    return Ok(needed);
                }
                Err(self.invalid(format!("{} of its {needed} bytes were given", counted.len)))
            }
        }
    }

    fn invalid(&self, problem: impl std::fmt::Display) -> io::Error {
        invalid(format!("tensor {}: {problem}", quote(&self.name)))
    }
}

/// A stream that knows how much went through it.
struct Counted<'a> {
    out: &'a mut dyn Write,
    len: usize,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.len += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_padding(out: &mut dyn Write, written: usize, alignment: usize) -> io::Result<usize> {
    let padding = written.next_multiple_of(alignment) - written;
    io::copy(&mut io::Read::take(io::repeat(0), padding as u64), out)?;
    Ok(padding)
}

fn check_names<'a>(
    kind: &str,
    longest: usize,
    names: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > longest {
            return Err(invalid(format!(
                "{kind} {}: a name has 1 to {longest} bytes",
                quote(name)
            )));
        }
        if !seen.insert(name) {
            return Err(invalid(format!("{kind} {} was given twice", quote(name))));
        }
    }
    Ok(())
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
