//! JSON files of a Hugging Face folder: read with a size limit, every field checked, every error
//! naming the file and the key.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::quote;
use crate::{Error, Result};

/// Largest JSON file that is read: configurations are kilobytes.
const LIMIT: u64 = 4 << 20;

/// Largest width or count that a configuration may name.
const LARGEST: u64 = 1 << 28;

/// Bytes that a parsed value takes, about.
const VALUE: usize = 64;
/// Bytes that the values of any file may take, beyond twice the file.
const VALUES: usize = 1 << 20;

/// Whether parsing would take little more than the file does: `[1,1,1,` grows thirtyfold.
fn check_density(path: &Path, text: &str) -> Result<()> {
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values.saturating_mul(VALUE) <= 2 * text.len() + VALUES {
        return Ok(());
    }
    let problem = format!(
        "holds {values} values in {} bytes: no model's file does, get it again",
        text.len()
    );
    Err(Error::format(path, "file", problem))
}

/// A JSON object and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    path: PathBuf,
    /// Keys that lead to it, each with a dot behind it.
    prefix: String,
    map: Map<String, Value>,
}

impl Object {
    /// The object in a file.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len().min(LIMIT);
        let mut text = String::with_capacity(usize::try_from(len).unwrap_or_default() + 1);
        file.take(LIMIT + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > LIMIT {
            return Err(Error::format(path, "end", format!("is larger than {LIMIT} bytes")));
        }
        Self::parse(path, &text)
    }

    /// The object in a text of that file.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        check_density(path, text)?;
        let map = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::format(path, place, format!("is no JSON object ({error}): fetch the file again"))
        })?;
        Ok(Self { path: path.into(), prefix: String::new(), map })
    }

    /// The file with that name, `None` if there is none.
    pub fn read_optional(path: &Path) -> Result<Option<Self>> {
        if path.is_file() { Self::read(path).map(Some) } else { Ok(None) }
    }

    /// With values for keys that are absent: what a family's configuration class defaults to.
    pub fn or<const N: usize>(mut self, defaults: [(&str, Value); N]) -> Self {
        for (key, default) in defaults {
            if self.value(key).is_none() {
                self.map.insert(key.into(), default);
            }
        }
        self
    }

    /// The file it is from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a key.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        Error::format(&self.path, format!("key {}", quote(&(self.prefix.clone() + key))), problem)
    }

    /// A value; null counts as absent.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.error(key, "is missing: the model needs it, fetch the file again"))
    }

    fn wrong<T>(&self, key: &str, value: &Value, wanted: &str) -> Result<T> {
        let mut shown = value.to_string();
        if shown.len() > 40 {
            shown = shown.chars().take(40).chain("…".chars()).collect();
        }
        Err(self.error(key, format!("is {shown}, it must be {wanted}")))
    }

    /// A width or count, 1 to 2²⁸.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.required(key, self.optional_size(key)?)
    }

    /// A width or count with a default.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.optional_size(key)?.unwrap_or(default))
    }

    /// A width or count that may be absent.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        match self.optional_count(key)? {
            Some(0) => self.wrong(key, &Value::from(0), "at least 1"),
            count => Ok(count),
        }
    }

    /// A count that may be absent or zero.
    pub fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_u64().filter(|&count| count <= LARGEST) {
            Some(count) => Ok(Some(count as usize)),
            None => self.wrong(key, value, "a whole number from 0 to 268435456"),
        }
    }

    /// A finite number that may be absent.
    pub fn optional_number(&self, key: &str) -> Result<Option<f32>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_f64().map(|number| number as f32).filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => self.wrong(key, value, "a finite number"),
        }
    }

    /// A positive number that may be absent.
    pub fn optional_positive(&self, key: &str) -> Result<Option<f32>> {
        match self.optional_number(key)? {
            Some(number) if number <= 0.0 => self.wrong(key, &self.map[key], "positive"),
            number => Ok(number),
        }
    }

    /// A positive number.
    pub fn positive(&self, key: &str) -> Result<f32> {
        self.required(key, self.optional_positive(key)?)
    }

    /// A positive number with a default.
    pub fn positive_or(&self, key: &str, default: f32) -> Result<f32> {
        Ok(self.optional_positive(key)?.unwrap_or(default))
    }

    /// A switch with a default.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => self.wrong(key, value, "true or false"),
        }
    }

    /// A text that may be absent.
    pub fn optional_text(&self, key: &str) -> Result<Option<&str>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => self.wrong(key, value, "a text"),
        }
    }

    /// A list that may be absent.
    pub fn optional_list(&self, key: &str) -> Result<Option<&[Value]>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(value) => self.wrong(key, value, "a list"),
        }
    }

    /// A list of texts, empty if absent.
    pub fn texts(&self, key: &str) -> Result<Vec<&str>> {
        let list = self.optional_list(key)?.unwrap_or_default();
        let text = |value: &'_ Value| value.as_str().is_some();
        match list.iter().find(|value| !text(value)) {
            Some(value) => self.wrong(key, value, "a list of texts"),
            None => Ok(list.iter().filter_map(Value::as_str).collect()),
        }
    }

    /// A list of finite numbers that may be absent.
    pub fn optional_numbers(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let Some(list) = self.optional_list(key)? else { return Ok(None) };
        let number = |value: &Value| {
            value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
        };
        match list.iter().map(number).collect() {
            Some(numbers) => Ok(Some(numbers)),
            None => self.wrong(key, &self.map[key], "a list of finite numbers"),
        }
    }

    /// A list of numbers.
    pub fn numbers(&self, key: &str) -> Result<Vec<f32>> {
        self.required(key, self.optional_numbers(key)?)
    }

    /// An object that may be absent.
    pub fn optional_object(&self, key: &str) -> Result<Option<Self>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self {
                path: self.path.clone(),
                prefix: format!("{}{key}.", self.prefix),
                map: map.clone(),
            })),
            Some(value) => self.wrong(key, value, "an object"),
        }
    }

    /// All keys and values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }
}
