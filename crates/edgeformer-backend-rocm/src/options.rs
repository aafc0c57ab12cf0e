use std::path::PathBuf;

use edgeformer_core::{Error, Result};

use crate::Places;

/// How the ROCm backend is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RocmOptions {
    /// Where the GPUs, their driver and ROCm's libraries are looked for.
    pub places: Places,
    /// ONNX Runtime's library, or a folder that has it; `None` as
    /// [`OnnxOptions::library`](edgeformer_backend_onnx::OnnxOptions::library).
    pub library: Option<PathBuf>,
    /// In what the GPU computes.
    pub precision: Precision,
    /// A folder that compiled models are kept in; `None` compiles anew in every process.
    pub model_cache: Option<PathBuf>,
}

/// In what MIGraphX computes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precision {
    /// In the types of the model's weights and activations.
    #[default]
    Model,
    /// In half floats.
    Fp16,
    /// Products in 8-bit integers.
    Int8 {
        /// The ranges of the activations, as ONNX Runtime's calibrators write them.
        calibration: PathBuf,
    },
}

impl Precision {
    /// Reads `model`, `fp16` or `int8`; the last takes a table of ranges.
    ///
    /// # Errors
    /// If the name is another, or a table is missing or too much.
    pub fn parse(name: &str, calibration: Option<PathBuf>) -> Result<Self> {
        match (name, calibration) {
            ("" | "model", None) => Ok(Self::Model),
            ("fp16", None) => Ok(Self::Fp16),
            ("int8", Some(calibration)) => Ok(Self::Int8 { calibration }),
            ("int8", None) => Err(Error::Config(
                "EDGEFORMER_ROCM_PRECISION=int8 needs the ranges of the activations: name the file that a calibrator of ONNX Runtime has written in EDGEFORMER_ROCM_CALIBRATION".into(),
            )),
            ("" | "model" | "fp16", Some(_)) => Err(Error::Config(
                "EDGEFORMER_ROCM_CALIBRATION has an effect with EDGEFORMER_ROCM_PRECISION=int8 alone".into(),
            )),
            _ => Err(Error::Config(format!(
                "EDGEFORMER_ROCM_PRECISION={name} is unknown, known are model, fp16, int8"
            ))),
        }
    }

    /// What a person calls it, and the folder of models compiled for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Fp16 => "fp16",
            Self::Int8 { .. } => "int8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_have_names() {
        let table = || Some(PathBuf::from("/ranges"));
        assert_eq!(Precision::parse("", None).unwrap(), Precision::Model);
        assert_eq!(Precision::parse("fp16", None).unwrap(), Precision::Fp16);
        let int8 = Precision::parse("int8", table()).unwrap();
        assert_eq!(int8, Precision::Int8 { calibration: "/ranges".into() });
        let refused = |name, table| Precision::parse(name, table).unwrap_err().to_string();
        insta::assert_snapshot!(refused("int8", None), @"configuration: EDGEFORMER_ROCM_PRECISION=int8 needs the ranges of the activations: name the file that a calibrator of ONNX Runtime has written in EDGEFORMER_ROCM_CALIBRATION");
        insta::assert_snapshot!(refused("fp16", table()), @"configuration: EDGEFORMER_ROCM_CALIBRATION has an effect with EDGEFORMER_ROCM_PRECISION=int8 alone");
        insta::assert_snapshot!(refused("fp8", None), @"configuration: EDGEFORMER_ROCM_PRECISION=fp8 is unknown, known are model, fp16, int8");
    }
}
