//! Writing a file.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use edgeformer_core::{Format, Tensor};

use super::{Dtype, MAX_DIMENSIONS, MAX_NAME};
use crate::Result;
use crate::atomic::write_atomically;
use crate::error::quote;

/// Writes tensors of float formats as one file, in the order given, that appears under `path`
/// only when it is complete.
///
/// # Errors
/// If a name comes twice or is too long, a format is quantized, or writing fails.
pub fn write_safetensors(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<()> {
    write_atomically(path, |out| write_safetensors_to(out, tensors))
}

/// Writes tensors of float formats to a stream, in the order given.
///
/// # Errors
/// If a name comes twice or is too long, a format is quantized, or writing fails.
pub fn write_safetensors_to(out: &mut dyn Write, tensors: &[(&str, &Tensor)]) -> io::Result<()> {
    let entries = tensors.iter().map(|(name, tensor)| (*name, tensor.format(), tensor.shape()));
    write_header(out, entries, "")?;
    tensors.iter().try_for_each(|(_, tensor)| out.write_all(tensor.bytes()))
}

/// Writes everything before the data: name, format and shape of each tensor, behind `first`,
/// which is JSON too.
pub(super) fn write_header<'a>(
    out: &mut dyn Write,
    tensors: impl Iterator<Item = (&'a str, Format, &'a [usize])>,
    first: &str,
) -> io::Result<()> {
    let header = header(tensors, first)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())
}

/// The JSON of the header, padded with spaces so that the data are aligned to 8 bytes.
fn header<'a>(
    tensors: impl Iterator<Item = (&'a str, Format, &'a [usize])>,
    first: &str,
) -> io::Result<String> {
    let mut seen = HashSet::new();
    let (mut fields, mut start) = (Vec::new(), 0);
    fields.extend(Some(first.to_owned()).filter(|first| !first.is_empty()));
    for (name, format, shape) in tensors {
        let error = |problem: &str| {
            let problem = format!("tensor {}: {problem}", quote(name));
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        };
        if !seen.insert(name) || name == "__metadata__" {
            return Err(error("the name is taken"));
        }
        if name.len() > MAX_NAME || shape.len() > MAX_DIMENSIONS {
            return Err(error("the name is too long or there are too many dimensions"));
        }
        let dtype = match format {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
            Format::BF16 => Dtype::BF16,
            _ => return Err(error("safetensors has no quantized formats, dequantize it first")),
        };
        let len = format.tensor_bytes(shape).map_err(|problem| error(&problem.to_string()))?;
        let end = start + len;
        fields.push(format!(
            "{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{start},{end}]}}",
            serde_json::to_string(name)?,
            dtype.name(),
            serde_json::to_string(shape)?,
        ));
        start = end;
    }
    let mut json = format!("{{{}}}", fields.join(","));
    let padding = json.len().next_multiple_of(8) - json.len();
    json.extend(std::iter::repeat_n(' ', padding));
    Ok(json)
}
