use std::path::{Path, PathBuf};

use edgeformer_core::Format;
use serde::Serialize;

use super::{Options, Recipe};
use crate::rounding::Method;

/// What a quantized file is, and what became of each tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its bytes, all of them.
    pub bytes: u64,
    /// What was asked for: a mixture, or bits per weight.
    pub format: String,
    /// How tensors were rounded.
    pub method: &'static str,
    /// Bits of the tensors, scales and all, by weight.
    pub bits_per_weight: f64,
    /// Tensors that could not have the format that they should, with the reason.
    pub fallbacks: usize,
    /// One a tensor, in the file's order.
    pub tensors: Vec<TensorReport>,
}

/// What became of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its format before.
    pub from: Format,
    /// Its format now.
    pub format: Format,
    /// How it was rounded; `None` if its bytes are what they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// Why it does not have the format that it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Its bytes.
    pub bytes: u64,
    /// Root of the mean square of the errors, by the root mean square of the weights.
    pub relative_error: f64,
    /// The same, every column weighed with the importance of its input; `None` without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted_error: Option<f64>,
}

impl Report {
    pub(super) fn new(
        file: &Path,
        bytes: u64,
        recipe: &Recipe,
        options: &Options<'_>,
        tensors: Vec<TensorReport>,
    ) -> Self {
        let weights = |tensor: &TensorReport| tensor.shape.iter().product::<usize>() as f64;
        let all: f64 = tensors.iter().map(weights).sum();
        let bits: f64 = tensors.iter().map(|tensor| tensor.bytes as f64 * 8.0).sum();
        Self {
            file: file.to_owned(),
            bytes,
            format: recipe.name().to_owned(),
            method: method_name(&options.method),
            bits_per_weight: bits / all.max(1.0),
            fallbacks: tensors.iter().filter(|tensor| tensor.fallback.is_some()).count(),
            tensors,
        }
    }
}

/// What reports and metadata call a method.
pub fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Rtn { .. } => "rtn",
        Method::KQuant { .. } => "kquant",
        Method::Hqq => "hqq",
        Method::Gptq(_) => "gptq",
    }
}
