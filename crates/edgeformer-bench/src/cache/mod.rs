//! Ways to keep the past, compared: a row a way, memory, speed and quality in the columns.
//!
//! - `configuration`: the rows
//! - `speed`, `fidelity`: what is measured of one, each in a process of its own
//! - `run`: all of them, round robin, so that a machine that slows down slows all rows down
//! - `report`: figures, with `table` and `chart` to show them

mod chart;
mod configuration;
mod fidelity;
mod report;
mod run;
mod speed;
mod table;

use std::path::Path;

use edgeformer_core::{Footprint, SessionOptions};

use crate::Result;
use crate::subject::Subject;

pub use configuration::Configuration;
pub use fidelity::QualityJob;
pub use report::{CacheReport, DepthFigures, Outcome, Row, TextFacts};
pub use run::CacheBench;
pub use speed::{Speed, SpeedJob};

pub(crate) use run::any_tokens;
pub(crate) use speed::read;

/// Parts of the full cache by which a budget grows until it works.
const SHARES: u64 = 16;

/// The session of a configuration, of the sizes that `base` has, and what it takes.
///
/// A share of a small cache may be less than the least budget that works: then a sixteenth more is
/// taken, and so on, up to all of it.
///
/// # Errors
/// If the backend refuses the configuration, with its reason.
fn session_of(
    subject: &Subject,
    configuration: &Configuration,
    base: &SessionOptions,
    folder: &Path,
) -> Result<(SessionOptions, Footprint)> {
    let full = subject.plan(base)?.cache;
    let mut options = configuration.session(base, full, folder);
    let mut planned = subject.plan(&options);
    while let (Err(_), Some(budget)) = (&planned, options.tiers.budget) {
        if budget == 0 || budget >= full {
            break;
        }
        options.tiers.budget = Some(budget.saturating_add(full.div_ceil(SHARES)).min(full));
        planned = subject.plan(&options);
    }
    Ok((options, planned?))
}
