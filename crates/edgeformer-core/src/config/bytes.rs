use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::text::text_or_integer;
use crate::{Error, Result};

/// A number of bytes as people write it: `700MiB`, `2GiB`, `1.5GB`, `1048576`.
///
/// Units of 1024 are `KiB`, `MiB`, `GiB`, `TiB`, of 1000 `kB`, `MB`, `GB`, `TB`; upper and lower
/// case are the same. Parts of a byte are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Units by name, the largest first of each kind.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// How many units of 1024 the table starts with.
const BINARY_UNITS: usize = 4;

/// Digits behind the point that count: more would say nothing even of a TiB.
const FRACTION_DIGITS: usize = 15;

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map(Self).ok_or_else(|| {
            Error::Config(format!(
                "{text:?} is no size: write a number of bytes or one with a unit, such as 700MiB or 1.5GB"
            ))
        })
    }
}

/// `None` for what is no number with a unit, or more than 64 bits of bytes.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim_start() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let point = whole.len() < number.len();
    if whole.is_empty() || (point && (fraction.is_empty() || scale == 1)) {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let part = match fraction {
        "" => 0,
        digits => {
            digits.parse::<u128>().ok()? * u128::from(scale) / 10u128.pow(digits.len() as u32)
        }
    };
    let whole = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    u64::try_from(whole + part).ok()
}

impl fmt::Display for ByteSize {
    /// Reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, scale): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(scale);
        match UNITS[..BINARY_UNITS].iter().find(fits) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        text_or_integer(from, "a size such as 700MiB")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<ByteSize>().unwrap().0
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(bytes("700MiB"), 700 << 20);
        assert_eq!(bytes("2 gib"), 2 << 30);
        assert_eq!(bytes("1.5GB"), 1_500_000_000);
        assert_eq!(bytes("0.5KiB"), 512);
        assert_eq!(bytes("1048576"), 1 << 20);
        assert_eq!(bytes("12B"), 12);
        assert_eq!(bytes("1.0000000000000000000000000000001kB"), 1000);
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5",
            "1.",
            ".5GB",
            "1..5GB",
            "5 apples",
            "99999999999TiB",
            "1e9",
            "é",
        ] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("700MiB"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes: u64, shift in 0u32..64) {
            let size = ByteSize(bytes >> shift << shift);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn any_text_is_a_size_or_an_error(text in "\\PC{0,12}") {
            let _either = text.parse::<ByteSize>();
        }

        #[test]
        fn decimals_are_parts_of_the_unit(whole in 0u64..1 << 20, thousandths in 0u64..1000) {
            let text = format!("{whole}.{thousandths:03}MiB");
            let expected = (whole << 20) + (thousandths << 20) / 1000;
            prop_assert_eq!(bytes(&text), expected);
        }
    }
}
