//! EdgeFormer's quantized files beside llama.cpp's: both made of the same model, with the same
//! formats and the same text, both judged by EdgeFormer and read by llama.cpp.
//!
//! - `model`: a float model, a text to calibrate with, another to judge by
//! - `judge`: what a file is worth
//! - `contest`: files of one format, ours and theirs; `promise`: what we promise of a size
//! - `tensors`: errors of single tensors, without a text
//! - `cost`: time and memory that quantizing takes
//! - `report`: all of it, as tables

mod contest;
mod cost;
mod judge;
mod model;
mod promise;
mod report;
mod run;
mod tensors;

pub use edgeformer::quantize::Mixture;

pub use contest::{Maker, Row};
pub use cost::{Cost, CostBench, CostJob, CostReport, CostRow};
pub use judge::Figures;
pub use model::TestModel;
pub use promise::{Limits, Promise};
pub use report::{ModelReport, QuantizationReport};
pub use run::QuantizationBench;
pub use tensors::FormatError;
