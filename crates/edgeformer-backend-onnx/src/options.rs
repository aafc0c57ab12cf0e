use std::path::PathBuf;

/// How the ONNX backend is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnnxOptions {
    /// The name that the backend has; `None` is `onnx`. For backends that are this one with an
    /// execution provider of their own.
    pub name: Option<&'static str>,
    /// The library, or a folder that has it. `None` looks for it: the environment variables
    /// `EDGEFORMER_ORT` and `ORT_DYLIB_PATH`, then what `cargo xtask setup-ort` has installed.
    pub library: Option<PathBuf>,
    /// The one execution provider whose devices the backend has. `None` has all that the library
    /// was built with.
    pub provider: Option<ExecutionProvider>,
    /// Whether graphs keep to operators that other libraries know as well: attention of products and a
    /// softmax over the cache's whole buffer, products without transposition or scale of their own.
    /// For providers that leave others to the processor, or have another idea of them. Shapes depend
    /// on the tokens of a run and on the buffers alone, so that a provider that compiles for shapes
    /// does so seldom. Always so for `migraphx`.
    pub plain_operators: bool,
}

/// An execution provider of ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionProvider {
    /// Its name, as `--device` takes it: `cpu`, `cuda`, `tensorrt`, `migraphx`, `rocm`, `openvino`,
    /// `coreml`, `directml`, `qnn`, `xnnpack`.
    pub name: String,
    /// Its options, by the names that ONNX Runtime documents.
    pub options: Vec<(String, String)>,
}
