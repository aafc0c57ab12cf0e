//! Fine-tuning from files to files.
//!
//! - `request`: what is asked for; `defaults`: what the literature says where nothing is
//! - `base`: the model that learns, its weights that do
//! - `low_rank`: a new adapter; `head`: a new classifier; `initial`: a new model
//! - `fitting`: its memory, and how batches are split to stay within a budget
//! - `data`: the files of a request; `examples`: records as tokens, what is learned told from what is
//!   given; `labelled`: images, arrays and texts with a class or a value
//! - `work`: a run from its request to its result
//! - `metrics`, `chart`, `card`: the record of a run, as lines, as a picture, for people
//! - `output`: the model or adapter that is written

mod base;
mod card;
mod chart;
mod data;
mod defaults;
mod examples;
mod fitting;
mod head;
mod initial;
mod labelled;
mod low_rank;
mod metrics;
mod output;
mod request;
mod work;

pub use examples::{Encoded, Encoding, encode, windows};
pub use fitting::Fitting;
pub use head::NumLabels;
pub use initial::write_random;
pub use labelled::ReadImage;
pub use low_rank::{LoraOptions, Targets};
pub use request::{Method, Request};
pub use work::{Finetuned, finetune, plan};
