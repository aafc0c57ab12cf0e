//! Finding out by measuring how a machine runs a model best, and remembering it.
//!
//! - `choices`: what can be chosen, and what was measured of it
//! - `meter`: the time of prompts and of tokens under a setup
//! - `judge`: when one setup is really faster than another
//! - `tune`: one question after the other, within a time limit
//! - `key`: which machine, which model; `profile`: the file that remembers

mod choices;
mod judge;
mod key;
mod meter;
mod profile;
mod tune;

pub use choices::{Choices, Setup, Trial, Tuning};
pub use key::{MachineKey, ModelKey};
pub use meter::{Bench, Meter};
pub use profile::Profile;
pub(crate) use profile::look_up;
pub use tune::{Tune, tune};
