//! What `edgeformer tune` finds, beside every setup there is.
//!
//! - `sweep`: all setups, in turns; `run`: tuning, then the sweep; `report`: both

mod report;
mod run;
mod sweep;

pub use report::TuneReport;
pub use run::TuneBench;
pub use sweep::{Figures, Kind, SetupFigures};
