//! Smaller models, made and judged: what `edgeformer-quantize` needs a running model for.
//!
//! - `calibrate`: what the products of a model read while it reads a text
//! - `own_text`: text that a model writes itself, where nobody has any
//! - `sensitivity`: what each tensor costs in each format, measured
//! - `run`: from a model's files to a quantized file

mod calibrate;
mod own_text;
mod run;
mod sensitivity;

pub use calibrate::{Calibration, HessianOptions, Told, calibrate};
pub use edgeformer_quantize::calibration::{Hessians, Imatrix};
pub use edgeformer_quantize::job::{Report, TensorReport};
pub use edgeformer_quantize::mixture::Mixture;
pub use own_text::own_text;
pub use run::{Judged, MethodName, Quantized, Request, Size, quantize};
pub use sensitivity::{Sensitivity, sensitivities};
