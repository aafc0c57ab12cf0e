//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): what its cache takes,
//! and when its two forms cross.
//!
//! - `size`: a cache filled, counted, and laid beside the keys and values it stands for
//! - `crossover`: both forms over spans of several lengths, in turns
//! - `report`: both, as tables and as lines

mod crossover;
mod report;
mod run;
mod size;

pub use crossover::{Crossover, SpanFigures, crossing};
pub use report::LatentReport;
pub use run::LatentBench;
pub use size::{Dimensions, LatentSize};
