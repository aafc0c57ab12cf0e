use std::path::PathBuf;

use edgeformer_quantize::job::Report;
use edgeformer_quantize::mixture::Mixture;
use serde::Serialize;

/// How large the result may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// The formats of a mixture.
    Mixture(Mixture),
    /// So many bits a weight at most, scales, tables and norms counted: every tensor gets the
    /// format that its measured sensitivity is worth.
    BitsPerWeight(f64),
}

/// How weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    /// Several ways are tried and the one of least measured divergence is kept.
    Auto,
    /// Round to nearest.
    Rtn,
    /// Scales and minima searched for the least weighted error.
    KQuant,
    /// Half-quadratic quantization: no data.
    Hqq,
    /// Activation-aware scales, then `KQuant`.
    Awq,
    /// What a column loses is made up for by those behind it.
    Gptq,
    /// SmoothQuant's scales for 8-bit activations, then `KQuant`.
    Smooth,
}

impl MethodName {
    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rtn => "rtn",
            Self::KQuant => "kquant",
            Self::Hqq => "hqq",
            Self::Awq => "awq",
            Self::Gptq => "gptq",
            Self::Smooth => "smooth",
        }
    }

    /// Whether it needs what the model's products read.
    pub(super) fn needs_statistics(self) -> bool {
        matches!(self, Self::Auto | Self::Awq | Self::Gptq | Self::Smooth)
    }

    /// Whether it needs `E[x xᵀ]` of it.
    pub(super) fn needs_hessians(self) -> bool {
        matches!(self, Self::Auto | Self::Gptq)
    }
}

/// What is to be quantized, into what, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// A GGUF file or a Hugging Face folder.
    pub input: PathBuf,
    /// The file to write.
    pub output: PathBuf,
    /// How large it may be.
    pub size: Size,
    /// How weights are rounded.
    pub method: MethodName,
    /// Whether round to nearest tries other ranges than that of all values.
    pub clip_search: bool,
    /// An importance matrix of the model.
    pub imatrix: Option<PathBuf>,
    /// A folder of Hessians of the model.
    pub hessians: Option<PathBuf>,
    /// A text to calibrate with. Methods that need statistics and have none calibrate with text
    /// that the model writes itself.
    pub text: Option<PathBuf>,
    /// Windows that are read to calibrate, at most.
    pub chunks: Option<usize>,
    /// Rotates the model first, from that seed.
    pub rotate: Option<u64>,
    /// How much of the outliers SmoothQuant moves to the weights.
    pub smooth_alpha: f32,
    /// Whether a file that is there is replaced.
    pub force: bool,
    /// Whether tensors that are quantized already are quantized again.
    pub allow_requantize: bool,
    /// Whether weights that are no numbers become zero.
    pub allow_nonfinite: bool,
}

impl Request {
    /// A request with the defaults of the command line: [`MethodName::KQuant`], no text, nothing
    /// replaced.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>, size: Size) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            size,
            method: MethodName::KQuant,
            clip_search: true,
            imatrix: None,
            hessians: None,
            text: None,
            chunks: None,
            rotate: None,
            smooth_alpha: 0.5,
            force: false,
            allow_requantize: false,
            allow_nonfinite: false,
        }
    }
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Quantized {
    /// What it is.
    #[serde(flatten)]
    pub report: Report,
    /// What statistics were made of: a file, or the model's own text; `None` if none were used.
    pub calibrated_with: Option<String>,
    /// What was tried, if the method was to be found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Seconds that all of it took.
    pub seconds: f64,
}

/// A way that was tried.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Tried {
    /// What was done.
    pub what: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Divergence from the unquantized model, in nats a token, on text that was not calibrated
    /// with.
    pub kl_mean: f64,
}
