//! Quantization formats: GGUF's, byte for byte.
//!
//! A [`Format`] knows how many elements a block has, how many bytes it takes, how to quantize
//! and dequantize it, and what activations become when they are multiplied with it.

mod float;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the formats' own; see the table in `Format::layout`")]
pub enum Format {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// What activations become before they are multiplied with weights of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationFormat {
    /// They stay 32-bit floats.
    F32,
    /// Blocks of 32 signed bytes with one f32 scale (absmax / 127) each.
    Q8,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    /// Name, elements of a block, bytes of a block.
    const fn layout(self) -> (&'static str, usize, usize) {
        match self {
            Self::F32 => ("f32", 1, 4),
            Self::F16 => ("f16", 1, 2),
            Self::BF16 => ("bf16", 1, 2),
            Self::Q8_0 => ("q8_0", 32, 34),
            Self::Q4_0 => ("q4_0", 32, 18),
            Self::Q4_1 => ("q4_1", 32, 20),
            Self::Q5_0 => ("q5_0", 32, 22),
            Self::Q5_1 => ("q5_1", 32, 24),
            Self::Q2K => ("q2_k", 256, 84),
            Self::Q3K => ("q3_k", 256, 110),
            Self::Q4K => ("q4_k", 256, 144),
            Self::Q5K => ("q5_k", 256, 176),
            Self::Q6K => ("q6_k", 256, 210),
            Self::Iq4Nl => ("iq4_nl", 32, 18),
            Self::Iq4Xs => ("iq4_xs", 256, 136),
        }
    }

    /// The name llama.cpp gives it, in lower case: `q4_0`.
    pub const fn name(self) -> &'static str {
        self.layout().0
    }

    /// Elements of a block.
    pub const fn block_len(self) -> usize {
        self.layout().1
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.layout().2
    }

    /// Whether elements are floats of their own rather than codes under a shared scale.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// What activations become when they are multiplied with weights of this format.
    pub const fn activation(self) -> ActivationFormat {
        if self.is_float() { ActivationFormat::F32 } else { ActivationFormat::Q8 }
    }

    /// Bytes of a tensor of that shape.
    ///
    /// # Errors
    /// If the shape is empty, has a zero, overflows, or its rows are not whole blocks.
    pub fn tensor_bytes(self, shape: &[usize]) -> Result<usize> {
        let row =
            *shape.last().ok_or_else(|| self.problem("a tensor needs at least one dimension"))?;
        if shape.contains(&0) {
            return Err(self.problem(format!("shape {shape:?} has a zero dimension")));
        }
        if !row.is_multiple_of(self.block_len()) {
            return Err(
                self.problem(format!("rows of {row} are not whole blocks of {}", self.block_len()))
            );
        }
        let elements = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
        elements
            .and_then(|elements| (elements / self.block_len()).checked_mul(self.block_bytes()))
            .ok_or_else(|| self.problem(format!("shape {shape:?} overflows")))
    }

    /// Decodes whole blocks of `bytes` into `values`.
    ///
    /// # Errors
    /// If `values` is not exactly as long as the blocks of `bytes`.
    pub fn dequantize(self, bytes: &[u8], values: &mut [f32]) -> Result<()> {
        self.check_lengths(bytes.len(), values.len())?;
        match self {
            Self::F32 => float::decode_f32(bytes, values),
            Self::F16 => float::decode_f16(bytes, values),
            Self::BF16 => float::decode_bf16(bytes, values),
            _ => return Err(self.problem("not written yet")),
        }
        Ok(())
    }

    /// Encodes `values` as whole blocks into `bytes`, rounding to nearest with the scale that
    /// llama.cpp's reference quantizers choose without an importance matrix.
    ///
    /// # Errors
    /// If `bytes` is not exactly as long as the blocks of `values`.
    pub fn quantize(self, values: &[f32], bytes: &mut [u8]) -> Result<()> {
        self.check_lengths(bytes.len(), values.len())?;
        match self {
            Self::F32 => float::encode_f32(values, bytes),
            Self::F16 => float::encode_f16(values, bytes),
            Self::BF16 => float::encode_bf16(values, bytes),
            _ => return Err(self.problem("not written yet")),
        }
        Ok(())
    }

    fn check_lengths(self, bytes: usize, values: usize) -> Result<()> {
        let blocks = values / self.block_len();
        if values.is_multiple_of(self.block_len())
            && blocks.checked_mul(self.block_bytes()) == Some(bytes)
        {
            return Ok(());
        }
        Err(self
            .problem(format!("{values} values and {bytes} bytes are not the same whole blocks")))
    }

    fn problem(self, problem: impl Into<String>) -> Error {
        Error::Format { format: self.name(), problem: problem.into() }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Config(format!("unknown format {text:?}, known are {known}"))
        })
    }
}
