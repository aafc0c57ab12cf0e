//! Arrays of metadata: typed, and encoded as in the file until they are read.

use std::borrow::Cow;
use std::path::Path;

use super::cursor::Cursor;
use super::value::{MetadataValue, ValueType, encode_str};

/// An array of values of one type. In an opened file it is a slice of the file, and its values
/// are decoded as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataArray<'a> {
    element: ValueType,
    len: usize,
    /// `len` values of type `element`, one after the other, valid.
    bytes: Cow<'a, [u8]>,
}

impl<'a> MetadataArray<'a> {
    /// An array over bytes that hold exactly `len` valid values.
    pub(super) fn from_valid(element: ValueType, len: usize, bytes: Cow<'a, [u8]>) -> Self {
        Self { element, len, bytes }
    }

    /// An array of strings.
    pub fn strings<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> Self {
        Self::encoded(ValueType::String, strings, |text, out| encode_str(text.as_ref(), out))
    }

    /// An array of booleans.
    pub fn bools(values: impl IntoIterator<Item = bool>) -> Self {
        Self::encoded(ValueType::Bool, values, |value, out| out.push(value.into()))
    }

    /// An array of arrays. Readers allow few levels (this crate four).
    pub fn nested<'b>(arrays: impl IntoIterator<Item = MetadataArray<'b>>) -> Self {
        Self::encoded(ValueType::Array, arrays, |array, out| array.encode(out))
    }

    fn encoded<T>(
        element: ValueType,
        values: impl IntoIterator<Item = T>,
        encode: impl Fn(T, &mut Vec<u8>),
    ) -> Self {
        let (mut bytes, mut len) = (Vec::new(), 0);
        for value in values {
            encode(value, &mut bytes);
            len += 1;
        }
        Self { element, len, bytes: Cow::Owned(bytes) }
    }

    /// The type of its values.
    pub fn element_type(&self) -> ValueType {
        self.element
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its values in order.
    pub fn iter(&self) -> Values<'_> {
        Values::over(self.element, self.len, &self.bytes)
    }

    /// The array with its values copied.
    pub fn into_owned(self) -> MetadataArray<'static> {
        let bytes = Cow::Owned(self.bytes.into_owned());
        MetadataArray { element: self.element, len: self.len, bytes }
    }

    /// The values as slices of the file, if the array is of an opened file.
    pub(super) fn into_values(self) -> Option<Values<'a>> {
        match self.bytes {
            Cow::Borrowed(bytes) => Some(Values::over(self.element, self.len, bytes)),
            Cow::Owned(_) => None,
        }
    }

    /// The array as in the file: type, length, values.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.element.number().to_le_bytes());
        out.extend((self.len as u64).to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

impl<'a> IntoIterator for &'a MetadataArray<'_> {
    type Item = MetadataValue<'a>;
    type IntoIter = Values<'a>;

    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

/// The values of an array, decoded one by one.
#[derive(Clone)]
pub struct Values<'a> {
    element: ValueType,
    left: usize,
    cursor: Cursor<'a>,
}

impl<'a> Values<'a> {
    fn over(element: ValueType, left: usize, bytes: &'a [u8]) -> Self {
        Self { element, left, cursor: Cursor::new(Path::new(""), bytes, 0) }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = MetadataValue<'a>;

    fn next(&mut self) -> Option<MetadataValue<'a>> {
        self.left = self.left.checked_sub(1)?;
        let value = MetadataValue::read(&mut self.cursor, self.element);
        Some(value.expect("an array's values were validated when it was made"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}

impl std::fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values of type {}", self.left, self.element.name())
    }
}

macro_rules! conversions {
    ($($rust:ty => $name:ident),* $(,)?) => {$(
        impl From<$rust> for MetadataValue<'_> {
            fn from(value: $rust) -> Self {
                Self::$name(value)
            }
        }

        impl From<&[$rust]> for MetadataArray<'_> {
            fn from(values: &[$rust]) -> Self {
                Self::encoded(ValueType::$name, values, |value, out| {
                    out.extend(value.to_le_bytes());
                })
            }
        }

        impl From<&[$rust]> for MetadataValue<'_> {
            fn from(values: &[$rust]) -> Self {
                Self::Array(values.into())
            }
        }
    )*};
}
conversions! {
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64,
    f32 => F32, f64 => F64,
}

impl From<bool> for MetadataValue<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a str> for MetadataValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::String(Cow::Borrowed(value))
    }
}

impl From<String> for MetadataValue<'_> {
    fn from(value: String) -> Self {
        Self::String(Cow::Owned(value))
    }
}

impl<'a> From<MetadataArray<'a>> for MetadataValue<'a> {
    fn from(value: MetadataArray<'a>) -> Self {
        Self::Array(value)
    }
}
