use serde::{Deserialize, Serialize};

use super::{Block, Iq4Nl, Iq4Xs, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
use super::{block, float};
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

    /// Everything that differs between formats, in one table.
    const fn layout(self) -> Layout {
        match self {
            Self::F32 => Layout::float("f32", 4, float::decode_f32, float::encode_f32),
            Self::F16 => Layout::float("f16", 2, float::decode_f16, float::encode_f16),
            Self::BF16 => Layout::float("bf16", 2, float::decode_bf16, float::encode_bf16),
            Self::Q8_0 => Layout::blocks::<Q8_0, _, _, _>("q8_0"),
            Self::Q4_0 => Layout::blocks::<Q4_0, _, _, _>("q4_0"),
            Self::Q4_1 => Layout::blocks::<Q4_1, _, _, _>("q4_1"),
            Self::Q5_0 => Layout::blocks::<Q5_0, _, _, _>("q5_0"),
            Self::Q5_1 => Layout::blocks::<Q5_1, _, _, _>("q5_1"),
            Self::Q2K => Layout::blocks::<Q2K, _, _, _>("q2_k"),
            Self::Q3K => Layout::blocks::<Q3K, _, _, _>("q3_k"),
            Self::Q4K => Layout::blocks::<Q4K, _, _, _>("q4_k"),
            Self::Q5K => Layout::blocks::<Q5K, _, _, _>("q5_k"),
            Self::Q6K => Layout::blocks::<Q6K, _, _, _>("q6_k"),
            Self::Iq4Nl => Layout::blocks::<Iq4Nl, _, _, _>("iq4_nl"),
            Self::Iq4Xs => Layout::blocks::<Iq4Xs, _, _, _>("iq4_xs"),
        }
    }

    /// The name llama.cpp gives it, in lower case: `q4_0`.
    pub const fn name(self) -> &'static str {
        self.layout().name
    }

    /// Elements of a block.
    pub const fn block_len(self) -> usize {
        self.layout().block_len
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.layout().block_bytes
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
        (self.layout().decode)(bytes, values);
        Ok(())
    }

    /// Encodes `values` as whole blocks into `bytes`.
    ///
    /// Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 give the bytes of llama.cpp's reference quantizers; the
    /// K-quants and IQ4 search scales as these do without an importance matrix, and may settle on
    /// others of the same quality.
    ///
    /// Blocks have scales of 16 bits. What is too large for them becomes the largest value that
    /// the block can hold, infinities too, and what is too small becomes zero. NaN becomes zero.
    /// The float formats keep NaN and infinities.
    ///
    /// # Errors
    /// If `bytes` is not exactly as long as the blocks of `values`.
    pub fn quantize(self, values: &[f32], bytes: &mut [u8]) -> Result<()> {
        self.check_lengths(bytes.len(), values.len())?;
        (self.layout().encode)(values, bytes);
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

/// What is to know of a format.
struct Layout {
    name: &'static str,
    block_len: usize,
    block_bytes: usize,
    decode: fn(&[u8], &mut [f32]),
    encode: fn(&[f32], &mut [u8]),
}

impl Layout {
    const fn float(
        name: &'static str,
        bytes: usize,
        decode: fn(&[u8], &mut [f32]),
        encode: fn(&[f32], &mut [u8]),
    ) -> Self {
        Self { name, block_len: 1, block_bytes: bytes, decode, encode }
    }

    const fn blocks<B, const LEN: usize, const BYTES: usize, const GROUPS: usize>(
        name: &'static str,
    ) -> Self
    where
        B: Block<LEN, BYTES, GROUPS>,
    {
        Self {
            name,
            block_len: LEN,
            block_bytes: BYTES,
            decode: block::decode::<B, LEN, BYTES, GROUPS>,
            encode: block::encode::<B, LEN, BYTES, GROUPS>,
        }
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
