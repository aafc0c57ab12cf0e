use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Guessed tokens at a time at most: verified together they are still computed as one by one.
pub const MAX_DRAFT: usize = 31;

/// Where guessed tokens come from without a second model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpeculateSetting {
    /// Nothing is guessed.
    #[default]
    Off,
    /// What followed the last tokens where they occurred before.
    Lookup,
}

impl FromStr for SpeculateSetting {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "lookup" => Ok(Self::Lookup),
            _ => Err(Error::Config(format!("unknown speculation {name:?}, known are off, lookup"))),
        }
    }
}
