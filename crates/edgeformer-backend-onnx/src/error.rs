use std::path::PathBuf;

/// Why ONNX Runtime cannot be used, or what it refused.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Problem {
    #[error(
        "there is no ONNX Runtime library: looked for {looked}; run `cargo xtask setup-ort`, or set EDGEFORMER_ORT to a libonnxruntime of version 1.23 or newer"
    )]
    Missing { looked: String },
    #[error("{path}, which {from} names, is not there: correct it, or run `cargo xtask setup-ort`")]
    Absent { path: PathBuf, from: &'static str },
    #[error("{path} is not a shared library that can be loaded here: {why}")]
    NotALibrary { path: PathBuf, why: String },
    #[error("{path} is a library, but not ONNX Runtime: it has no symbol OrtGetApiBase")]
    WithoutApi { path: PathBuf },
    #[error("{path} is ONNX Runtime {version}, 1.23 or newer is needed")]
    TooOld { path: PathBuf, version: String },
    #[error(
        "{wanted} is asked for, this process has loaded {loaded} already: it can have one library"
    )]
    Another { wanted: PathBuf, loaded: PathBuf },
    #[error("{path} has no execution provider {provider:?}; it has {known}")]
    NoProvider { path: PathBuf, provider: String, known: String },
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
}

impl Problem {
    /// As an error of the backend of that name.
    pub(crate) fn of(self, backend: &str) -> edgeformer_core::Error {
        edgeformer_core::Error::Backend { backend: backend.into(), problem: self.to_string() }
    }
}

impl<R> From<ort::Error<R>> for Problem {
    fn from(error: ort::Error<R>) -> Self {
        // The runtime says some things over several lines.
        let text = error.to_string();
        Self::Runtime(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
