//! Validation of a file, before anything that its numbers ask for is allocated.

use std::path::Path;

use edgeformer_core::Format;

use super::cursor::Cursor;
use super::value::{MetadataValue, ValueType};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, MAX_TENSOR_NAME, ggml};
use crate::error::quote;
use crate::{Error, Result};

/// Bytes of the shortest metadata entry: a key's length, one byte of key, a type, a value.
const SMALLEST_ENTRY: usize = 8 + 1 + 4 + 1;
/// Bytes of the shortest tensor entry: a name's length, one byte of name, the number of
/// dimensions, one dimension, type, offset.
const SMALLEST_TENSOR: usize = 8 + 1 + 4 + 8 + 4 + 8;

/// Where everything lies in a valid file.
pub(super) struct Layout {
    pub(super) version: u32,
    pub(super) alignment: usize,
    pub(super) entries: Vec<usize>,
    pub(super) by_key: Vec<usize>,
    pub(super) tensors: Vec<usize>,
    pub(super) by_name: Vec<usize>,
    pub(super) data: usize,
}

/// Validates a file.
pub(super) fn layout(path: &Path, bytes: &[u8]) -> Result<Layout> {
    let mut cursor = Cursor::new(path, bytes, 0);
    let version = read_version(&mut cursor)?;
    let counts = cursor.clone();
    let tensor_count = cursor.count(SMALLEST_TENSOR, "the number of tensors")?;
    let entry_count = cursor.count(SMALLEST_ENTRY, "the number of metadata keys")?;

    let (entries, alignment) = read_metadata(&mut cursor, entry_count)?;
    let by_key = sorted_by_name(&counts, &entries, "key", Cursor::key)?;

    cursor.check_count(
        counts.at(),
        tensor_count as u64,
        SMALLEST_TENSOR,
        "the number of tensors",
    )?;
    let tensors = read_tensors(&mut cursor, tensor_count)?;
    let by_name = sorted_by_name(&counts, &tensors, "tensor", tensor_name)?;

    let data = cursor.at().checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
    check_placement(&counts, &tensors, data, alignment, bytes.len())?;
    Ok(Layout { version, alignment, entries, by_key, tensors, by_name, data })
}

fn read_version(cursor: &mut Cursor<'_>) -> Result<u32> {
    let start = cursor.clone();
    let magic: [u8; 4] = cursor.array("the magic \"GGUF\"")?;
    if magic != MAGIC {
        return Err(start.error(format!(
            "this is not a GGUF file: it begins with \"{}\" instead of \"GGUF\"; name a .gguf \
             file or a Hugging Face folder",
            magic.escape_ascii()
        )));
    }
    let start = cursor.clone();
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        1 => Err(start.error("GGUF version 1 is not supported, 2 and 3 are: convert it again")),
        other if matches!(other.swap_bytes(), 1..=0xffff) => Err(start.error(
            "this is a big-endian GGUF file: convert the model again for little-endian machines",
        )),
        other => Err(start.error(format!(
            "GGUF version {other} is unknown, 2 and 3 are supported: the file is damaged or \
             newer than this program"
        ))),
    }
}

/// Where each entry begins, and the alignment that they set.
fn read_metadata(cursor: &mut Cursor<'_>, count: usize) -> Result<(Vec<usize>, usize)> {
    let mut entries = Vec::with_capacity(count);
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..count {
        entries.push(cursor.at());
        let start = cursor.clone();
        let key = cursor.key()?;
        if key.is_empty() {
            return Err(start.error("a key is empty: the file is damaged, get or convert it again"));
        }
        cursor.enter("key", key);
        let value_type = ValueType::read(cursor)?;
        let start = cursor.clone();
        let value = MetadataValue::read(cursor, value_type)?;
        if key == ALIGNMENT_KEY {
            alignment = read_alignment(&start, &value)?;
        }
        cursor.leave();
    }
    Ok((entries, alignment))
}

fn read_alignment(at: &Cursor<'_>, value: &MetadataValue<'_>) -> Result<usize> {
    let alignment = match value {
        MetadataValue::U32(value) => usize::try_from(*value).ok(),
        _ => None,
    };
    alignment.filter(|alignment| alignment.is_power_of_two()).ok_or_else(|| {
        at.error(format!(
            "must be a u32 and a power of two, is {}: convert the model again",
            value.describe()
        ))
    })
}

fn read_tensors(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<usize>> {
    let mut tensors = Vec::with_capacity(count);
    for _ in 0..count {
        tensors.push(cursor.at());
        TensorEntry::read(cursor)?;
        cursor.leave();
    }
    Ok(tensors)
}

fn tensor_name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str> {
    cursor.string(MAX_TENSOR_NAME, "a tensor's name")
}

/// The entries ordered by name; an error where two have the same.
fn sorted_by_name<'a>(
    start: &Cursor<'a>,
    entries: &[usize],
    kind: &str,
    name: impl Fn(&mut Cursor<'a>) -> Result<&'a str>,
) -> Result<Vec<usize>> {
    let name_at = |at: usize| name(&mut start.moved(at)).expect("entries were read before");
    let mut sorted = entries.to_vec();
    sorted.sort_unstable_by(|a, b| name_at(*a).cmp(name_at(*b)).then(a.cmp(b)));
    match sorted.windows(2).find(|pair| name_at(pair[0]) == name_at(pair[1])) {
        None => Ok(sorted),
        Some(pair) => Err(start.moved(pair[1]).error(format!(
            "{kind} {} is there twice, first at offset {}: convert the model again",
            quote(name_at(pair[0])),
            pair[0]
        ))),
    }
}

/// Whether the tensors lie aligned in the file and not in each other.
fn check_placement(
    start: &Cursor<'_>,
    tensors: &[usize],
    data: usize,
    alignment: usize,
    file_len: usize,
) -> Result<()> {
    let entry_at = |at: usize| {
        TensorEntry::read(&mut start.moved(at)).expect("tensor entries were read before")
    };
    let mut by_offset = tensors.to_vec();
    by_offset.sort_unstable_by_key(|at| (entry_at(*at).offset, *at));
    let (mut free, mut before) = (0, "");
    for at in by_offset {
        let TensorEntry { name, offset, len, .. } = entry_at(at);
        let error = |problem: String| -> Error {
            let mut place = start.moved(at);
            place.enter("tensor", name);
            place.error(problem)
        };
        if !offset.is_multiple_of(alignment) {
            return Err(error(format!(
                "its data at {offset} are not aligned to {alignment} bytes: convert the model again"
            )));
        }
        if offset < free {
            return Err(error(format!(
                "its data at {offset} overlap those of tensor {}, which end at {free}: the file \
                 is damaged, get or convert it again",
                quote(before)
            )));
        }
        let end = offset
            .checked_add(len)
            .filter(|end| data.checked_add(*end).is_some_and(|end| end <= file_len));
        free = end.ok_or_else(|| {
            error(format!(
                "its {len} bytes at {offset} of the data, which begin at {data}, pass the end of \
                 the file of {file_len} bytes: it is truncated or damaged, get or convert it again"
            ))
        })?;
        before = name;
    }
    Ok(())
}

/// What a file says about one tensor.
pub(super) struct TensorEntry<'a> {
    pub(super) name: &'a str,
    pub(super) format: Format,
    pub(super) dims: Dims,
    /// Where its bytes begin, from the beginning of the data.
    pub(super) offset: usize,
    /// Its bytes.
    pub(super) len: usize,
}

/// Dimensions, outermost first.
pub(super) struct Dims {
    len: usize,
    dims: [usize; MAX_DIMENSIONS],
}

impl Dims {
    pub(super) fn as_slice(&self) -> &[usize] {
        &self.dims[..self.len]
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let start = cursor.clone();
        let count = cursor.u32("the number of dimensions")?;
        let len = usize::try_from(count).ok().filter(|len| (1..=MAX_DIMENSIONS).contains(len));
        let len = len.ok_or_else(|| {
            start.error(format!(
                "has {count} dimensions, 1 to {MAX_DIMENSIONS} are allowed: the file is damaged, get or convert it again"
            ))
        })?;
        let mut dims = [0; MAX_DIMENSIONS];
        for dim in dims[..len].iter_mut().rev() {
            let start = cursor.clone();
            let size = cursor.u64("a dimension")?;
            *dim = usize::try_from(size).ok().filter(|size| *size > 0).ok_or_else(|| {
                start.error(format!(
                    "has a dimension of {size}: the file is damaged, get or convert it again"
                ))
            })?;
        }
        Ok(Self { len, dims })
    }
}

impl<'a> TensorEntry<'a> {
    /// Reads and validates what can be without knowing the other tensors.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self> {
        let start = cursor.clone();
        let name = tensor_name(cursor)?;
        if name.is_empty() {
            return Err(start
                .error("a tensor's name is empty: the file is damaged, get or convert it again"));
        }
        cursor.enter("tensor", name);
        let dims = Dims::read(cursor)?;
        let start = cursor.clone();
        let number = cursor.u32("the tensor's type")?;
        let format = ggml::format(number).ok_or_else(|| {
            start.error(format!(
                "{} is not supported: quantize the model to one of {}",
                ggml::describe(number),
                Format::ALL.map(Format::name).join(", ")
            ))
        })?;
        let len = format.tensor_bytes(dims.as_slice()).map_err(|error| {
            start.error(format!("{error}: the file is damaged, get or convert it again"))
        })?;
        let start = cursor.clone();
        let offset = cursor.u64("the tensor's offset")?;
        let offset = usize::try_from(offset).map_err(|_| {
            start.error(format!(
                "offset {offset} is outside the file: it is damaged, get or convert it again"
            ))
        })?;
        Ok(Self { name, format, dims, offset, len })
    }
}
