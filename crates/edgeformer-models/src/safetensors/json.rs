//! The JSON of headers, parsed without allocating what it does not hold.

use std::fmt;
use std::path::Path;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::header::Entry;
use super::{Dtype, MAX_DIMENSIONS, MAX_NAME};
use crate::Error;
use crate::error::quote;

/// What a seed reads of a JSON text, all of it.
pub(super) fn parse<'a, S: DeserializeSeed<'a>>(
    json: &'a [u8],
    seed: S,
) -> serde_json::Result<S::Value> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// A parser's error as this crate's: the place apart, and no longer than a few lines.
pub(super) fn error(path: &Path, what: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let end = text.char_indices().nth(300).map_or(text.len(), |(end, _)| end);
    let place = format!("{what}, line {} column {}", error.line(), error.column());
    Error::format(
        path,
        place,
        format!(
            "{}: the file is damaged or of a kind this program does not read, get or convert it again",
            &text[..end]
        ),
    )
}

/// A key that is not a tensor: a map of strings, which nothing here needs.
const METADATA: &str = "__metadata__";

/// Counts the keys of a header.
pub(super) struct Count;

impl<'de> DeserializeSeed<'de> for Count {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Count {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Reads the tensors of a header that has `count` keys.
pub(super) struct Entries<'a> {
    pub(super) count: usize,
    /// The name of the tensor being read, for messages.
    pub(super) reading: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<Entry>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Vec::with_capacity(self.count);
        while let Some(Name(name)) = map.next_key()? {
            if &*name == METADATA {
                map.next_value::<Strings>()?;
                continue;
            }
            self.reading.clear();
            self.reading.push_str(&name);
            let (dtype, shape, [start, end]) = map.next_value_seed(Fields)?;
            self.reading.clear();
            entries.push(Entry { name, dtype, shape, start, end });
        }
        Ok(entries)
    }
}

/// A name of bounded length.
pub(super) struct Name(pub(super) Box<str>);

impl<'de> de::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a name of at most {MAX_NAME} bytes")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                if name.len() > MAX_NAME {
                    let len = name.len();
                    return Err(E::custom(format!("a name of {len} bytes, more than {MAX_NAME}")));
                }
                Ok(Name(name.into()))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A map of strings, read and forgotten.
struct Strings;

impl<'de> de::Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings under __metadata__")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Strings)
            }
        }
        from.deserialize_map(Map)
    }
}

/// The fields of one tensor.
struct Fields;

type FieldValues = (Dtype, Box<[usize]>, [usize; 2]);

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = FieldValues;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<FieldValues, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = FieldValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValues, A::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Dtype => set(&mut dtype, map.next_value::<TypeName>()?.0)?,
                Field::Shape => set(&mut shape, map.next_value::<Shape>()?.0)?,
                Field::Offsets => set(&mut offsets, map.next_value()?)?,
            }
        }
        match (dtype, shape, offsets) {
            (Some(dtype), Some(shape), Some(offsets)) => Ok((dtype, shape, offsets)),
            _ => Err(de::Error::custom("lacks one of dtype, shape and data_offsets")),
        }
    }
}

fn set<T, E: de::Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("has a field twice")),
    }
}

#[derive(serde::Deserialize)]
enum Field {
    #[serde(rename = "dtype")]
    Dtype,
    #[serde(rename = "shape")]
    Shape,
    #[serde(rename = "data_offsets")]
    Offsets,
}

/// A dtype by its name.
struct TypeName(Dtype);

impl<'de> de::Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = TypeName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dtype")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TypeName, E> {
                Dtype::named(name)
                    .map(TypeName)
                    .ok_or_else(|| E::custom(format!("dtype {} is not supported", quote(name))))
            }
        }
        from.deserialize_str(Text)
    }
}

/// A shape of few dimensions.
struct Shape(Box<[usize]>);

impl<'de> de::Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a shape of at most {MAX_DIMENSIONS} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let (mut dims, mut len) = ([0; MAX_DIMENSIONS], 0);
                while let Some(dim) = list.next_element()? {
                    *dims
                        .get_mut(len)
                        .ok_or_else(|| de::Error::invalid_length(len + 1, &self))? = dim;
                    len += 1;
                }
                Ok(Shape(dims[..len].into()))
            }
        }
        from.deserialize_seq(List)
    }
}
