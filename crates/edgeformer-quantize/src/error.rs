/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model cannot be made smaller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model, of a calibration, or the result.
    #[error(transparent)]
    Models(#[from] edgeformer_models::Error),
    /// A format, shape or weight.
    #[error(transparent)]
    Core(#[from] edgeformer_core::Error),
    /// What the system says of a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A tensor that cannot be quantized or converted as asked.
    #[error("tensor {name:?}: {problem}")]
    Tensor {
        /// Which.
        name: String,
        /// Why not, and the remedy.
        problem: String,
    },
    /// What was asked for does not fit the model.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// A tensor that cannot be quantized or converted as asked.
    pub fn tensor(name: &str, problem: impl Into<String>) -> Self {
        Self::Tensor { name: name.into(), problem: problem.into() }
    }
}
