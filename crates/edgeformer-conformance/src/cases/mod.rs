//! The cases.

mod adapter_scales;
mod adapters;
mod bits;
mod cache;
mod errors;
mod fixtures;
mod graphs;
mod ops;
mod visibility;

use crate::suite::Case;

/// Every case there is.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = ops::cases();
    cases.extend(adapters::cases());
    cases.extend(adapter_scales::cases());
    cases.extend(cache::cases());
    cases.extend(visibility::cases());
    cases.extend(errors::cases());
    cases.extend(bits::cases());
    cases.extend(fixtures::cases());
    cases
}
