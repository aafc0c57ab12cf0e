//! What is counted.

use edgeformer_core::graph::NormKind;
use edgeformer_core::{CacheFormat, Format};

/// A case: one step of a small model with weights from a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is called: `linear/q4_0/1-row`.
    pub name: String,
    /// What the model consists of.
    pub(super) part: Part,
    /// Format of its matrices.
    pub(super) weights: Format,
    /// Format of its cache.
    pub(super) cache: CacheFormat,
    /// Tokens that the cache holds before the step.
    pub(super) depth: usize,
    /// Tokens of the step.
    pub(super) tokens: usize,
}

/// What a case's model consists of, besides the table that tokens are looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A matrix product.
    Linear { input: usize, output: usize },
    /// Norms, one behind the other.
    Norms(NormKind),
    /// A gated activation.
    Gate,
    /// Rotary position embedding.
    Rope,
    /// Grouped-query attention without projections.
    Grouped,
    /// Multi-head latent attention, its up-projections included.
    Latent,
    /// A mixture of experts.
    Experts,
    /// Two layers of a llama, with logits.
    Decoder,
}

/// Tokens of steps that stand for prompts: more than one tile of any kernel, and no multiple of
/// most.
const PROMPT: usize = 33;

/// Tokens in the cache of cases that attend: several pages and the newest one.
const DEPTH: usize = 200;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = linears();
    cases.extend(rows());
    cases.extend(attentions());
    cases.extend(models());
    cases
}

impl Case {
    /// The case of that name.
    pub fn named(name: &str) -> Option<Self> {
        cases().into_iter().find(|case| case.name == name)
    }

    fn new(name: String, part: Part, tokens: usize) -> Self {
        let (weights, cache) = (Format::F32, CacheFormat::F16);
        Self { name, part, weights, cache, depth: 0, tokens }
    }
}

/// The matrix product of every format, with one row of activations and with many; and one with a
/// single row of weights, where turning the activations into 8 bits is most of the work.
fn linears() -> Vec<Case> {
    let product = |weights: Format, tokens: usize| {
        let rows = if tokens == 1 { "1-row".to_owned() } else { format!("{tokens}-rows") };
        let part = Part::Linear { input: 512, output: 96 };
        let case = Case::new(format!("linear/{weights}/{rows}"), part, tokens);
        Case { weights, ..case }
    };
    let part = Part::Linear { input: 4096, output: 1 };
    let quantize = Case::new("quantize-activations".into(), part, 8);
    Format::ALL
        .into_iter()
        .flat_map(|format| [product(format, 1), product(format, PROMPT)])
        .chain([Case { weights: Format::Q8_0, ..quantize }])
        .collect()
}

/// What works row by row.
fn rows() -> Vec<Case> {
    let case = |name: &str, part| Case::new(name.into(), part, PROMPT);
    vec![
        case("norm/rms", Part::Norms(NormKind::Rms)),
        case("norm/layer", Part::Norms(NormKind::Layer)),
        case("gate/silu", Part::Gate),
        case("rope", Part::Rope),
    ]
}

/// Attention over every cache format, of one token and of a prompt's.
fn attentions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, part) in [("attention", Part::Grouped), ("latent", Part::Latent)] {
        for cache in CacheFormat::ALL {
            for (step, tokens) in [("decode", 1), ("prefill", PROMPT)] {
                let case = Case::new(format!("{name}/{}/{step}", cache.name()), part, tokens);
                cases.push(Case { cache, depth: DEPTH, ..case });
            }
        }
    }
    cases
}

/// Whole models.
fn models() -> Vec<Case> {
    let case = |name: &str, part, weights, tokens| {
        let depth = if part == Part::Decoder { DEPTH } else { 0 };
        Case { weights, depth, ..Case::new(name.into(), part, tokens) }
    };
    vec![
        case("experts/q4_0/decode", Part::Experts, Format::Q4_0, 1),
        case("experts/q4_0/prefill", Part::Experts, Format::Q4_0, PROMPT),
        case("decoder/q8_0/decode", Part::Decoder, Format::Q8_0, 1),
        case("decoder/q4_0/decode", Part::Decoder, Format::Q4_0, 1),
        case("decoder/q4_0/prefill", Part::Decoder, Format::Q4_0, PROMPT),
        case("decoder/q4_k/decode", Part::Decoder, Format::Q4K, 1),
        case("decoder/q4_k/prefill", Part::Decoder, Format::Q4K, PROMPT),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_told_apart_and_lead_back() {
        let all = cases();
        let names: BTreeSet<_> = all.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|case| Case::named(&case.name).as_ref() == Some(case)));
        assert_eq!(Case::named("linear/q9/1-row"), None);
    }
}
