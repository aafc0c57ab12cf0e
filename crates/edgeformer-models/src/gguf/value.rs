//! The values of metadata: what a key holds.

use std::borrow::Cow;

use super::MAX_ARRAY_DEPTH;
use super::array::MetadataArray;
use super::cursor::Cursor;
use crate::Result;
use crate::error::quote;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// Every type, each at the place of its number in the file.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// Its name, for messages: `u32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Its number in the file.
    pub(super) const fn number(self) -> u32 {
        self as u32
    }

    /// Bytes of a value; `None` where they vary.
    const fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }

    /// Bytes of the shortest value.
    const fn smallest(self) -> usize {
        match self {
            Self::String => 8,
            Self::Array => 12,
            _ => self.size().expect("other types have one size"),
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let start = cursor.clone();
        let number = cursor.u32("a value's type")?;
        let found = usize::try_from(number).ok().and_then(|number| Self::ALL.get(number));
        found.copied().ok_or_else(|| {
            start.error(format!(
                "unknown value type {}, known are 0 to {}: the file is damaged or newer than \
                 this program",
                number.cast_signed(),
                Self::ALL.len() - 1
            ))
        })
    }
}

/// A value of metadata. Strings and arrays of an opened file are slices of it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum MetadataValue<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(Cow<'a, str>),
    Array(MetadataArray<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> MetadataValue<'a> {
    /// Its type.
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value as messages show it: short ones themselves, of arrays the type.
    pub fn describe(&self) -> String {
        match self {
            Self::String(text) => format!("the string {}", quote(text)),
            Self::Array(array) => {
                format!(
                    "an array of {} values of type {}",
                    array.len(),
                    array.element_type().name()
                )
            }
            Self::F32(value) => format!("the f32 {value}"),
            Self::F64(value) => format!("the f64 {value}"),
            Self::Bool(value) => format!("the bool {value}"),
            value => {
                let integer = value.as_integer().unwrap_or_default();
                format!("the {} {integer}", value.value_type().name())
            }
        }
    }

    /// The value if it is an integer of any width.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(value) => value.into(),
            Self::I8(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::U64(value) => value.into(),
            Self::I64(value) => value.into(),
            _ => return None,
        })
    }

    /// The value if it is a float, an f64 rounded.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Self::F32(value) => Some(value),
            Self::F64(value) => Some(value as f32),
            _ => None,
        }
    }

    /// The value if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The value if it is an array.
    pub fn as_array(&self) -> Option<&MetadataArray<'a>> {
        match self {
            Self::Array(value) => Some(value),
            _ => None,
        }
    }

    /// The value with what it borrows copied.
    pub fn into_owned(self) -> MetadataValue<'static> {
        match self {
            Self::U8(value) => MetadataValue::U8(value),
            Self::I8(value) => MetadataValue::I8(value),
            Self::U16(value) => MetadataValue::U16(value),
            Self::I16(value) => MetadataValue::I16(value),
            Self::U32(value) => MetadataValue::U32(value),
            Self::I32(value) => MetadataValue::I32(value),
            Self::F32(value) => MetadataValue::F32(value),
            Self::Bool(value) => MetadataValue::Bool(value),
            Self::String(value) => MetadataValue::String(Cow::Owned(value.into_owned())),
            Self::Array(value) => MetadataValue::Array(value.into_owned()),
            Self::U64(value) => MetadataValue::U64(value),
            Self::I64(value) => MetadataValue::I64(value),
            Self::F64(value) => MetadataValue::F64(value),
        }
    }

    /// Reads and validates a value of the type, allocating nothing.
    pub(super) fn read(cursor: &mut Cursor<'a>, value_type: ValueType) -> Result<Self> {
        read_value(cursor, value_type, 0)
    }

    /// The value as in the file, without its type.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => out.push(*value),
            Self::I8(value) => out.extend(value.to_le_bytes()),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::I16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push((*value).into()),
            Self::String(value) => encode_str(value, out),
            Self::Array(array) => array.encode(out),
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::I64(value) => out.extend(value.to_le_bytes()),
            Self::F64(value) => out.extend(value.to_le_bytes()),
        }
    }
}

/// A string as in the file: its length, then its bytes.
pub(super) fn encode_str(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_value<'a>(
    cursor: &mut Cursor<'a>,
    value_type: ValueType,
    depth: usize,
) -> Result<MetadataValue<'a>> {
    let what = value_type.name();
    Ok(match value_type {
        ValueType::U8 => MetadataValue::U8(u8::from_le_bytes(cursor.array(what)?)),
        ValueType::I8 => MetadataValue::I8(i8::from_le_bytes(cursor.array(what)?)),
        ValueType::U16 => MetadataValue::U16(u16::from_le_bytes(cursor.array(what)?)),
        ValueType::I16 => MetadataValue::I16(i16::from_le_bytes(cursor.array(what)?)),
        ValueType::U32 => MetadataValue::U32(u32::from_le_bytes(cursor.array(what)?)),
        ValueType::I32 => MetadataValue::I32(i32::from_le_bytes(cursor.array(what)?)),
        ValueType::F32 => MetadataValue::F32(f32::from_le_bytes(cursor.array(what)?)),
        ValueType::Bool => MetadataValue::Bool(read_bool(cursor)?),
        ValueType::String => {
            MetadataValue::String(Cow::Borrowed(cursor.string(usize::MAX, "a string")?))
        }
        ValueType::Array => MetadataValue::Array(read_array(cursor, depth + 1)?),
        ValueType::U64 => MetadataValue::U64(u64::from_le_bytes(cursor.array(what)?)),
        ValueType::I64 => MetadataValue::I64(i64::from_le_bytes(cursor.array(what)?)),
        ValueType::F64 => MetadataValue::F64(f64::from_le_bytes(cursor.array(what)?)),
    })
}

fn read_bool(cursor: &mut Cursor<'_>) -> Result<bool> {
    let start = cursor.clone();
    match cursor.array("a bool")? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(start.error(format!(
            "a bool is 0 or 1, this is {other}: the file is damaged, get or convert it again"
        ))),
    }
}

fn read_array<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<MetadataArray<'a>> {
    if depth > MAX_ARRAY_DEPTH {
        return Err(cursor.error(format!(
            "arrays lie in arrays more than {MAX_ARRAY_DEPTH} deep: the file is damaged, get or convert it again"
        )));
    }
    let element = ValueType::read(cursor)?;
    let len = cursor.count(element.smallest(), "the length of an array")?;
    let start = cursor.clone();
    match element.size() {
        Some(size) if element != ValueType::Bool => {
            cursor.take(len * size, "an array")?;
        }
        _ => {
            for _ in 0..len {
                read_value(cursor, element, depth)?;
            }
        }
    }
    Ok(MetadataArray::from_valid(element, len, Cow::Borrowed(cursor.since(&start))))
}
