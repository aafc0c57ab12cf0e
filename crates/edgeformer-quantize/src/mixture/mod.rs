//! Mixtures: which tensor of a model gets which format, by the rules of llama.cpp's `quantize`
//! (`llama_tensor_get_type`, as of 2025).
//!
//! A mixture is named after the format of most tensors; the tensors that suffer most get a few
//! bits more, in the layers where that pays.

mod assign;
mod eligible;
mod part;
#[cfg(test)]
mod tests;

use edgeformer_core::Format;

pub use assign::Assignment;

use crate::{Error, Result};

/// A named mixture of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are llama.cpp's own; see the table in `Mixture::facts`")]
pub enum Mixture {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2K,
    Q3KS,
    Q3KM,
    Q3KL,
    Q4KS,
    Q4KM,
    Q5KS,
    Q5KM,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// What the rules ask about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts<'a> {
    /// `general.architecture`.
    pub architecture: &'a str,
    /// Layers.
    pub layers: usize,
    /// Query heads to one key-value head.
    pub gqa: usize,
    /// Experts of a layer; zero if there are none.
    pub experts: usize,
    /// Whether there is a tensor `output.weight`. Without one the table of the vocabulary is the
    /// output matrix too and is treated as such.
    pub has_output: bool,
    /// Whether the importance of inputs is known.
    pub has_importance: bool,
}

impl Mixture {
    /// Every mixture.
    pub const ALL: [Self; 19] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3KS,
        Self::Q3KM,
        Self::Q3KL,
        Self::Q4KS,
        Self::Q4KM,
        Self::Q5KS,
        Self::Q5KM,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    /// Name, format of most tensors, and number in `general.file_type` (llama.cpp's
    /// `llama_ftype`).
    const fn facts(self) -> (&'static str, Format, u32) {
        match self {
            Self::F32 => ("f32", Format::F32, 0),
            Self::F16 => ("f16", Format::F16, 1),
            Self::BF16 => ("bf16", Format::BF16, 32),
            Self::Q8_0 => ("q8_0", Format::Q8_0, 7),
            Self::Q4_0 => ("q4_0", Format::Q4_0, 2),
            Self::Q4_1 => ("q4_1", Format::Q4_1, 3),
            Self::Q5_0 => ("q5_0", Format::Q5_0, 8),
            Self::Q5_1 => ("q5_1", Format::Q5_1, 9),
            Self::Q2K => ("q2_k", Format::Q2K, 10),
            Self::Q3KS => ("q3_k_s", Format::Q3K, 11),
            Self::Q3KM => ("q3_k_m", Format::Q3K, 12),
            Self::Q3KL => ("q3_k_l", Format::Q3K, 13),
            Self::Q4KS => ("q4_k_s", Format::Q4K, 14),
            Self::Q4KM => ("q4_k_m", Format::Q4K, 15),
            Self::Q5KS => ("q5_k_s", Format::Q5K, 16),
            Self::Q5KM => ("q5_k_m", Format::Q5K, 17),
            Self::Q6K => ("q6_k", Format::Q6K, 18),
            Self::Iq4Nl => ("iq4_nl", Format::Iq4Nl, 25),
            Self::Iq4Xs => ("iq4_xs", Format::Iq4Xs, 30),
        }
    }

    /// The name in lower case, `q4_k_m`.
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// The format of most tensors.
    pub const fn base(self) -> Format {
        self.facts().1
    }

    /// What a file of it says in `general.file_type`.
    pub const fn file_type(self) -> u32 {
        self.facts().2
    }
}

impl std::fmt::Display for Mixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Mixture {
    type Err = Error;

    /// By name, in either case; `q3_k`, `q4_k` and `q5_k` are short for their `_m`, as in
    /// llama.cpp.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.to_ascii_lowercase();
        let full = match name.as_str() {
            "q3_k" | "q4_k" | "q5_k" => format!("{name}_m"),
            _ => name,
        };
        Self::ALL.into_iter().find(|mixture| mixture.name() == full).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Request(format!("unknown mixture {text:?}, known are {known}"))
        })
    }
}
