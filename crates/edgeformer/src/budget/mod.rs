//! The memory budget: what there is, and what is chosen so that a run stays within it.
//!
//! What the user says stands. What he leaves open is chosen in this order: the chunk (512 tokens,
//! with latent attention 1,024, down to 32), then where the cache goes. With a folder to spill to,
//! pages that do not fit go there, which changes no bit of the answer; without one the cache takes
//! coarser formats.
//!
//! - `limit`: what the operating system leaves
//! - `candidate`: what can be chosen
//! - `search`: the choice, and the longest context that would fit

mod candidate;
mod limit;
mod search;
#[cfg(test)]
#[cfg(feature = "embedded-model")]
mod tests;

use serde::Serialize;

pub use candidate::Candidate;
pub(crate) use limit::System;
pub(crate) use search::{Decision, Search};

/// How many bytes a run may have resident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Budget {
    /// The bytes; `None` where nobody says.
    pub bytes: Option<u64>,
    /// Who says so.
    pub source: BudgetSource,
}

/// Where a [`Budget`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetSource {
    /// `--memory-budget`: everything counts, mapped weights too.
    Named,
    /// 80 % of the memory that the system could give now. Weights do not count: they are mapped,
    /// and the system can drop their pages and read them again, slowly.
    Available,
    /// What the control group of the process leaves. Weights do not count.
    ControlGroup,
    /// The system does not tell.
    Unknown,
}

impl Budget {
    /// The budget that was named, else what `system` leaves.
    pub(crate) fn new(named: Option<u64>, system: &System) -> Self {
        if let Some(bytes) = named {
            return Self { bytes: Some(bytes), source: BudgetSource::Named };
        }
        let available = system.available().map(|bytes| bytes / 5 * 4);
        match (available, system.left_in_group()) {
            (Some(available), Some(left)) if left < available => {
                Self { bytes: Some(left), source: BudgetSource::ControlGroup }
            }
            (Some(available), _) => {
                Self { bytes: Some(available), source: BudgetSource::Available }
            }
            (None, Some(left)) => Self { bytes: Some(left), source: BudgetSource::ControlGroup },
            (None, None) => Self { bytes: None, source: BudgetSource::Unknown },
        }
    }

    /// Whether mapped weights count.
    pub fn counts_weights(&self) -> bool {
        self.source == BudgetSource::Named
    }
}

impl std::fmt::Display for BudgetSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Named => "as named; mapped weights count",
            Self::Available => "80 % of available memory; mapped weights do not count",
            Self::ControlGroup => "what the control group leaves; mapped weights do not count",
            Self::Unknown => "the system does not tell",
        })
    }
}
