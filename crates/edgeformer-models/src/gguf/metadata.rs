//! The metadata of a file: keys and values, typed access with errors that name file and key.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::array::{MetadataArray, Values};
use super::cursor::Cursor;
use super::value::{MetadataValue, ValueType};
use crate::error::quote;
use crate::{Error, Result};

/// The metadata of a file, in the file's order.
#[derive(Clone)]
pub struct Metadata {
    path: PathBuf,
    bytes: Bytes,
    /// Where each entry begins, in the file's order.
    entries: Vec<usize>,
    /// The same, ordered by key.
    by_key: Vec<usize>,
}

const VALID: &str = "metadata was validated when the file was opened";

impl Metadata {
    /// Metadata of validated entries whose keys differ.
    pub(super) fn new(
        path: PathBuf,
        bytes: Bytes,
        entries: Vec<usize>,
        by_key: Vec<usize>,
    ) -> Self {
        Self { path, bytes, entries, by_key }
    }

    /// The file it is of, or the name that stands for it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<MetadataValue<'_>> {
        let key_at = |at: &usize| self.cursor(*at).key().expect(VALID);
        let found = self.by_key.binary_search_by(|at| key_at(at).cmp(key)).ok()?;
        Some(self.entry(self.by_key[found]).1)
    }

    /// Keys and values in the file's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, MetadataValue<'_>)> {
        self.entries.iter().map(|at| self.entry(*at))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The integer of a key, `None` where the key is absent. Any integer type is accepted.
    ///
    /// # Errors
    /// If the value is no integer or does not fit.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "an integer from 0 to 4294967295", |value| integer(&value))
    }

    /// The integer of a key, `None` where the key is absent. Any integer type is accepted.
    ///
    /// # Errors
    /// If the value is no integer or does not fit.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "an integer of at least 0", |value| integer(&value))
    }

    /// The number of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no float, or is infinite or not a number.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a finite float", |value| value.as_f32().filter(|value| value.is_finite()))
    }

    /// The boolean of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no boolean.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a bool", |value| value.as_bool())
    }

    /// The string of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no string.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", borrowed_str)
    }

    /// The array of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no array.
    pub fn array(&self, key: &str) -> Result<Option<MetadataArray<'_>>> {
        self.typed(key, "an array", |value| match value {
            MetadataValue::Array(array) => Some(array),
            _ => None,
        })
    }

    /// The strings of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no array of strings.
    pub fn str_array(&self, key: &str) -> Result<Option<Strings<'_>>> {
        self.typed(key, "an array of strings", |value| match value {
            MetadataValue::Array(array) if array.element_type() == ValueType::String => {
                array.into_values().map(Strings)
            }
            _ => None,
        })
    }

    /// The booleans of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no array of booleans.
    pub fn bool_array(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.typed(key, "an array of bools", |value| collect(&value, |value| value.as_bool()))
    }

    /// The integers of a key, `None` where the key is absent. Any integer type of 16 bits or
    /// more is accepted.
    ///
    /// # Errors
    /// If the value is no array of such integers, or one does not fit.
    pub fn u32_array(&self, key: &str) -> Result<Option<Vec<u32>>> {
        let wanted = "an array of 16 to 64-bit integers from 0 to 4294967295";
        self.typed(key, wanted, |value| collect(&value, integer))
    }

    /// The integers of a key, `None` where the key is absent. Any integer type of 16 bits or
    /// more is accepted.
    ///
    /// # Errors
    /// If the value is no array of such integers, or one does not fit.
    pub fn i32_array(&self, key: &str) -> Result<Option<Vec<i32>>> {
        let wanted = "an array of 16 to 64-bit integers from -2147483648 to 2147483647";
        self.typed(key, wanted, |value| collect(&value, integer))
    }

    /// The floats of a key, `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is no array of floats.
    pub fn f32_array(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.typed(key, "an array of floats", |value| collect(&value, |value| value.as_f32()))
    }

    /// The value of a key that must be there:
    /// `metadata.need("llama.block_count", Metadata::usize)`.
    ///
    /// # Errors
    /// If the key is absent, or what `get` says.
    pub fn need<'a, T>(
        &'a self,
        key: &str,
        get: impl FnOnce(&'a Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        get(self, key)?.ok_or_else(|| {
            self.error(key, "is missing: convert the model with a tool that writes this key")
        })
    }

    /// An error about a key of this file.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        Error::format(&self.path, format!("key {}", quote(key)), problem)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(MetadataValue<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        convert(value.clone()).map(Some).ok_or_else(|| {
            let found = value.describe();
            self.error(key, format!("must be {wanted}, is {found}: convert the model again"))
        })
    }

    fn entry(&self, at: usize) -> (&str, MetadataValue<'_>) {
        let mut cursor = self.cursor(at);
        let key = cursor.key().expect(VALID);
        let value_type = ValueType::read(&mut cursor).expect(VALID);
        (key, MetadataValue::read(&mut cursor, value_type).expect(VALID))
    }

    fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor::new(Path::new(""), &self.bytes, at)
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.iter().map(|(key, value)| (key, value.describe()));
        f.debug_map().entries(values).finish()
    }
}

/// The strings of an array, as slices of the file.
#[derive(Debug, Clone)]
pub struct Strings<'a>(Values<'a>);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next().and_then(borrowed_str)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Strings<'_> {}

fn borrowed_str(value: MetadataValue<'_>) -> Option<&str> {
    match value {
        MetadataValue::String(std::borrow::Cow::Borrowed(text)) => Some(text),
        _ => None,
    }
}

fn integer<T: TryFrom<i128>>(value: &MetadataValue<'_>) -> Option<T> {
    value.as_integer().and_then(|value| T::try_from(value).ok())
}

fn collect<T>(
    value: &MetadataValue<'_>,
    convert: impl Fn(&MetadataValue<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let array = value.as_array()?;
    if matches!(array.element_type(), ValueType::U8 | ValueType::I8) {
        return None; // would grow more than the file can justify, and no known key has it
    }
    let mut values = Vec::with_capacity(array.len());
    for value in array {
        values.push(convert(&value)?);
    }
    Some(values)
}
