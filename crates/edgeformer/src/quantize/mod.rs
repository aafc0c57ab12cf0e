//! Smaller models, made and judged: what `edgeformer-quantize` needs a running model for.
//!
//! - `request`: what is asked for, what comes back
//! - `run`: from a model's files to a quantized file; `search`: where ways are tried
//! - `size`: bytes, and which formats they buy; `room`: on the disk
//! - `statistics`: what the model's products read, from files or recorded
//! - `calibrate`: recording; `own_text`: text that a model writes itself, where nobody has any
//! - `sensitivity`: what each tensor costs in each format, measured

mod calibrate;
mod own_text;
mod request;
mod room;
mod run;
mod search;
mod sensitivity;
mod size;
mod statistics;

pub(crate) use calibrate::read_all;
pub use calibrate::{Calibration, HessianOptions, Told, calibrate};
pub use edgeformer_quantize::calibration::{Hessians, Imatrix};
pub use edgeformer_quantize::job::{Report, TensorReport};
pub use edgeformer_quantize::mixture::Mixture;
pub use own_text::own_text;
pub use request::{MethodName, Quantized, Request, Size, Tried};
pub use run::quantize;
pub use sensitivity::{Sensitivity, sensitivities};

impl From<edgeformer_quantize::Error> for crate::Error {
    fn from(error: edgeformer_quantize::Error) -> Self {
        Self::Quantize(error.to_string())
    }
}
