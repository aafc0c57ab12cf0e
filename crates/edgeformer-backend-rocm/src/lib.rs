//! EdgeFormer on AMD GPUs.
mod detect;

pub use detect::Places;

/// The name that `--backend` takes.
const NAME: &str = "rocm";
