//! Floats in JSON by their bits: decimal digits come back a rounding away, and a run that goes on
//! from a file must end with the same bits as one that was never interrupted.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    value.to_bits().serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(f64::from_bits(u64::deserialize(from)?))
}

/// Many of them, each rounded to f32 before it is stored here.
pub(super) mod many {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let bits = Vec::<u32>::deserialize(from)?;
        Ok(bits.into_iter().map(f32::from_bits).collect())
    }
}
