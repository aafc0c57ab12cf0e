use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// A low-rank adapter and how strongly it acts, as it is written: `PATH`, `PATH:0.5`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterSetting {
    /// A folder of `peft` or a GGUF file.
    pub path: PathBuf,
    /// What its own scale is multiplied with: 1 as it was trained, 0 not at all.
    pub scale: f32,
}

impl FromStr for AdapterSetting {
    type Err = Error;

    /// What is behind the last colon is a scale if it is a number; else it is of the path.
    fn from_str(text: &str) -> Result<Self> {
        let parsed =
            text.rsplit_once(':').and_then(|(path, scale)| Some((path, scale.parse().ok()?)));
        let (path, scale): (&str, f32) = parsed.unwrap_or((text, 1.0));
        let problem = match (path, scale.is_finite()) {
            ("", _) => "names no adapter: write PATH, or PATH:SCALE",
            (_, false) => "has a scale that is no finite number",
            (path, true) => return Ok(Self { path: path.into(), scale }),
        };
        Err(Error::Config(format!("{text:?} {problem}")))
    }
}

impl fmt::Display for AdapterSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.scale)
    }
}

impl Serialize for AdapterSetting {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdapterSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error| match error {
            Error::Config(problem) => serde::de::Error::custom(problem),
            error => serde::de::Error::custom(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_the_last_colon_is_a_scale() {
        for (text, path, scale) in [
            ("a", "a", 1.0),
            ("a:0.5", "a", 0.5),
            ("a:-1", "a", -1.0),
            ("a:b", "a:b", 1.0),
            ("C:\\a", "C:\\a", 1.0),
            ("a:2:0", "a:2", 0.0),
        ] {
            let read: AdapterSetting = text.parse().expect("valid");
            assert_eq!((read.path.to_str(), read.scale), (Some(path), scale), "{text}");
            assert_eq!(read.to_string().parse::<AdapterSetting>().expect("valid"), read);
        }
        for wrong in ["", ":1", "a:nan", "a:inf"] {
            let error = wrong.parse::<AdapterSetting>().expect_err("refused").to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
