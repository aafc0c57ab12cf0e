use std::fmt;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::Visitor;

use crate::Error;

/// Reads a value that is written as text or as a plain number: `window = 256`, `window = "64:512"`.
pub(super) fn text_or_integer<'de, D, T>(from: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Error>,
{
    from.deserialize_any(TextOrInteger { expected, value: std::marker::PhantomData })
}

struct TextOrInteger<T> {
    expected: &'static str,
    value: std::marker::PhantomData<T>,
}

impl<T: FromStr<Err = Error>> Visitor<'_> for TextOrInteger<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error| match error {
            // The caller says that it is about the configuration.
            Error::Config(problem) => E::custom(problem),
            error => E::custom(error),
        })
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}
