//! Learning rates where nobody names one.

use super::request::Method;

/// Models below this many weights take larger steps.
const SMALL: usize = 100_000_000;

/// The highest learning rate for a method and a model of so many weights.
///
/// LoRA: 2e-4, QLoRA's for models up to 13 billion (Dettmers et al. 2023, table 9); small models
/// take up to 1e-3. All weights: 5e-5, the default of `transformers`' `Trainer`, ten times that for
/// small models; a new head learns as BERT's does with features frozen (1e-3).
pub(super) fn learning_rate(method: &Method, weights: usize) -> f64 {
    let small = weights < SMALL;
    match (method, small) {
        (Method::Lora(_), true) | (Method::Head, _) => 1e-3,
        (Method::Lora(_), false) => 2e-4,
        (Method::Full | Method::LastBlocks(_), true) => 5e-4,
        (Method::Full | Method::LastBlocks(_), false) => 5e-5,
    }
}
