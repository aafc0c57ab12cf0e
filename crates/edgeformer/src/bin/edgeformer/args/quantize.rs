use std::path::PathBuf;

use clap::{Args, ValueEnum};
use edgeformer::quantize::{MethodName, Mixture};

use super::ModelArgs;
use super::values::{count, size};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("size").required(true).args(["format", "target_bpw"]))]
pub struct Quantize {
    /// A GGUF file or a Hugging Face folder
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The GGUF file to write
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// q8_0, q6_k, q5_k_m, q5_k_s, q5_0, q5_1, q4_k_m, q4_k_s, q4_0, q4_1, iq4_nl, iq4_xs, q3_k_l,
    /// q3_k_m, q3_k_s, q2_k, f16, bf16 or f32: llama.cpp's mixtures of these names
    #[arg(short, long, value_name = "F", value_parser = mixture)]
    pub format: Option<Mixture>,
    /// Bits a weight instead of a format, scales, tables and norms counted: every tensor gets the
    /// format that its measured sensitivity is worth
    #[arg(long, value_name = "BITS", value_parser = bits)]
    pub target_bpw: Option<f64>,
    /// How weights are rounded
    #[arg(long, value_enum, default_value = "kquant")]
    pub method: MethodArg,
    /// Round as llama.cpp's reference does, byte for byte (rtn; q8_0, q4_0, q4_1, q5_0, q5_1)
    #[arg(long)]
    pub no_clip_search: bool,
    #[command(flatten)]
    pub text: CalibrationText,
    /// An importance matrix, of edgeformer calibrate or llama.cpp
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// A folder of Hessians, of edgeformer calibrate
    #[arg(long, value_name = "FOLDER")]
    pub hessians: Option<PathBuf>,
    /// Rotate residual stream and values first (Hadamard, folded into the weights), from this seed
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0")]
    pub rotate: Option<u64>,
    /// What share of the outliers `smooth` moves from activations to weights
    #[arg(long, value_name = "A", default_value_t = 0.5)]
    pub smooth_alpha: f32,
    /// Quantize tensors that are quantized already: what they lost stays lost
    #[arg(long)]
    pub allow_requantize: bool,
    /// Take zero for weights that are no numbers
    #[arg(long)]
    pub allow_nonfinite: bool,
    /// Replace OUT if it is there
    #[arg(long)]
    pub force: bool,
    /// What became of each tensor as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// The text that a model is calibrated with.
#[derive(Debug, Args)]
pub struct CalibrationText {
    /// A text to calibrate with [default: methods that need one let the model write it]
    #[arg(long = "calibration", visible_alias = "text", value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Windows that are read to calibrate, at most [default: all of the text, 128 of the model's
    /// own]
    #[arg(long, value_name = "N", value_parser = count)]
    pub chunks: Option<usize>,
}

/// How weights are rounded.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MethodArg {
    /// Try several ways, formats by measured sensitivity among them, and keep the best of that size
    Auto,
    /// Round to nearest, ranges searched
    Rtn,
    /// Scales and minima searched together
    Kquant,
    /// Half-quadratic quantization, without data
    Hqq,
    /// Activation-aware scales, folded into what comes before
    Awq,
    /// Errors made up for by the columns behind, with Hessians
    Gptq,
    /// SmoothQuant's scales for 8-bit activations
    Smooth,
}

impl From<MethodArg> for MethodName {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Auto => Self::Auto,
            MethodArg::Rtn => Self::Rtn,
            MethodArg::Kquant => Self::KQuant,
            MethodArg::Hqq => Self::Hqq,
            MethodArg::Awq => Self::Awq,
            MethodArg::Gptq => Self::Gptq,
            MethodArg::Smooth => Self::Smooth,
        }
    }
}

#[derive(Debug, Args)]
pub struct Calibrate {
    /// As --model
    #[arg(value_name = "MODEL")]
    pub source: Option<PathBuf>,
    /// The text to read
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// The importance matrix to write: GGUF, as llama.cpp writes and reads it
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Record Hessians too, in this folder: what gptq needs
    #[arg(long, value_name = "FOLDER")]
    pub hessians: Option<PathBuf>,
    /// Columns of a block of a Hessian; what is kept grows with the square [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    pub hessian_block: Option<usize>,
    /// Bytes of Hessians at a time; the text is read once more for what does not fit
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub hessian_memory: edgeformer::config::ByteSize,
    /// Windows that are read at most [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    pub chunks: Option<usize>,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// What was recorded as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

fn mixture(text: &str) -> Result<Mixture, String> {
    text.parse::<Mixture>().map_err(|error| error.to_string())
}

/// Bits that a format could have.
fn bits(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(bits) if (1.0..=32.0).contains(&bits) => Ok(bits),
        _ => Err("bits a weight are a number from 1 to 32".into()),
    }
}
