//! Patterns of words in a `tokenizer.json`, weighed before they are compiled: ` {65536,}` is nine
//! bytes in the file and ten megabytes as an automaton.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::quote;

/// What all patterns of a section may weigh: bytes, each as often as it is repeated. The heaviest
/// known tokenizer weighs some thousands.
const LIMIT: usize = 1 << 15;

/// Reads a section that may be absent, if its patterns are light.
pub(super) fn light<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Some(section) = Option::<Value>::deserialize(from)? else { return Ok(None) };
    check(&section, &mut 0).map_err(D::Error::custom)?;
    serde_json::from_value(section).map(Some).map_err(D::Error::custom)
}

/// Adds the weight of every pattern in a value to `weight`.
fn check(value: &Value, weight: &mut usize) -> Result<(), String> {
    match value {
        Value::Array(list) => list.iter().try_for_each(|value| check(value, weight)),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| match value {
            Value::String(pattern) if key == "Regex" => {
                *weight = weight.saturating_add(weight_of(pattern));
                if *weight <= LIMIT {
                    return Ok(());
                }
                let pattern = quote(pattern);
                Err(format!(
                    "pattern {pattern} is too large: no tokenizer needs that, get it again"
                ))
            }
            value => check(value, weight),
        }),
        _ => Ok(()),
    }
}

/// The bytes of a pattern times every counted repetition in it, as if each held all others.
fn weight_of(pattern: &str) -> usize {
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let largest = |count: &str| {
        let numbers = count.split(',').map(str::trim).filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().ok()).collect::<Option<Vec<usize>>>()?.into_iter().max()
    };
    let counts = counts.filter_map(|(count, _)| largest(count));
    counts.fold(pattern.len(), |weight, count| weight.saturating_mul(count.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_weigh() {
        assert_eq!(weight_of(r"\p{L}+"), 6);
        assert_eq!(weight_of(r"\p{N}{1,3}"), 30);
        assert_eq!(weight_of("a{1000}"), 7000);
        assert_eq!(weight_of("((a{1000}){1000})"), 17_000_000);
        assert_eq!(weight_of("a{2,}"), 10);
        assert_eq!(weight_of("}{"), 2);
    }

    #[test]
    fn heavy_patterns_are_refused_wherever_they_stand() {
        let of = |pattern: &str| {
            serde_json::json!({"type": "Sequence", "normalizers": [
                {"type": "Replace", "pattern": {"Regex": pattern}, "content": " "}
            ]})
        };
        assert!(check(&of(r"\p{N}{1,3}| {2,}"), &mut 0).is_ok());
        let error = check(&of(" {65536,}"), &mut 0).expect_err("is heavy");
        insta::assert_snapshot!(error, @r#"pattern " {65536,}" is too large: no tokenizer needs that, get it again"#);
        let many: Value = vec![of(" {100,}"); 1000].into();
        assert!(check(&many, &mut 0).is_err());
    }
}
