//! Which tensor gets which format.

use std::collections::BTreeMap;

use edgeformer_core::Format;
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use super::Options;
use super::report::method_name;
use crate::mixture::{Assignment, Mixture, ModelFacts};

/// Formats by tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// What was asked for: a mixture, or bits per weight.
    name: String,
    /// llama.cpp's number for what most tensors are (`general.file_type`).
    file_type: u32,
    choices: BTreeMap<String, Choice>,
}

/// The format of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The format.
    pub format: Format,
    /// Why it is not the one that it should be.
    pub fallback: Option<String>,
}

impl Recipe {
    /// Formats by name of the tensor; what is not named stays as it is.
    pub fn new(name: impl Into<String>, file_type: u32, choices: BTreeMap<String, Choice>) -> Self {
        Self { name: name.into(), file_type, choices }
    }

    /// A mixture of llama.cpp: its formats, tensor by tensor.
    pub fn mixture(checkpoint: &Checkpoint, mixture: Mixture, has_importance: bool) -> Self {
        let facts = facts(checkpoint, has_importance);
        let choice = |tensor: &LazyTensor| {
            let assignment = mixture.assign(tensor.name(), tensor.shape(), &facts)?;
            Some((tensor.name().to_owned(), Choice::from(assignment)))
        };
        let choices = checkpoint.tensors.iter().filter_map(choice).collect();
        Self::new(mixture.name(), mixture.file_type(), choices)
    }

    /// The same with another format for some tensors.
    pub fn with(
        mut self,
        name: impl Into<String>,
        formats: impl IntoIterator<Item = (String, Format)>,
    ) -> Self {
        self.name = name.into();
        let choice = |(name, format)| (name, Choice { format, fallback: None });
        self.choices.extend(formats.into_iter().map(choice));
        self
    }

    /// The tensors that are quantized.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.choices.keys().map(String::as_str)
    }

    /// What was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `general.file_type`.
    pub fn file_type(&self) -> u32 {
        self.file_type
    }

    /// What a tensor becomes.
    pub fn of(&self, tensor: &LazyTensor) -> Choice {
        let unchanged = || Choice { format: tensor.format(), fallback: None };
        self.choices.get(tensor.name()).cloned().unwrap_or_else(unchanged)
    }
}

impl From<Assignment> for Choice {
    fn from(assignment: Assignment) -> Self {
        let reason = |wanted| format!("rows are no whole blocks of {wanted}");
        Self { format: assignment.format, fallback: assignment.instead_of.map(reason) }
    }
}

/// What the rules of mixtures ask of a model.
fn facts(checkpoint: &Checkpoint, has_importance: bool) -> ModelFacts<'_> {
    let architecture = checkpoint.architecture().unwrap_or_default();
    let number = |key: &str| {
        let value = checkpoint.get(&format!("{architecture}.{key}"))?.as_integer()?;
        usize::try_from(value).ok()
    };
    let heads = number("attention.head_count").unwrap_or(1);
    let kv_heads = number("attention.head_count_kv").unwrap_or(heads).max(1);
    ModelFacts {
        architecture,
        layers: number("block_count").unwrap_or(0),
        gqa: heads / kv_heads,
        experts: number("expert_count").unwrap_or(0),
        has_output: checkpoint.has_head(),
        has_importance,
    }
}

/// What [`describe`] may set: method, and data set, entries and chunks of the importance matrix,
/// under llama.cpp's keys where it has them.
pub(super) const DESCRIPTION: [&str; 4] = [
    "edgeformer.quantize.method",
    "quantize.imatrix.dataset",
    "quantize.imatrix.entries_count",
    "quantize.imatrix.chunks_count",
];

/// Says in the metadata how the file was made.
pub(super) fn describe(checkpoint: &mut Checkpoint, options: &Options<'_>) {
    let [method, dataset, entries, chunks] = DESCRIPTION;
    checkpoint.set(method, method_name(&options.method));
    let Some(imatrix) = options.imatrix else { return };
    checkpoint.set(dataset, imatrix.datasets.join(", "));
    checkpoint.set(entries, i32::try_from(imatrix.entries.len()).unwrap_or(i32::MAX));
    checkpoint.set(chunks, i32::try_from(imatrix.chunks).unwrap_or(i32::MAX));
}
