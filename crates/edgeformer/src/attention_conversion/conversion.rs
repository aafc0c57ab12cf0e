use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_quantize::attention::{
    AttentionCalibration, ConversionReport, GqaOptions, MlaOptions, gqa, mla,
};

use crate::Result;

/// What ordinary attention becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// Attention with fewer key-value heads.
    Gqa(GqaOptions),
    /// Multi-head latent attention.
    Mla(MlaOptions),
}

impl Conversion {
    /// Converts a model, by what a calibration saw where there is one, else by the weights alone.
    /// Tensors of the result are made when they are asked for.
    ///
    /// # Errors
    /// If the model's attention cannot be converted, or the options or the calibration do not fit
    /// it.
    pub fn apply(
        &self,
        checkpoint: &Checkpoint,
        calibration: Option<&AttentionCalibration>,
    ) -> Result<(Checkpoint, ConversionReport)> {
        let converted = match self {
            Self::Gqa(options) => gqa(checkpoint, options, calibration),
            Self::Mla(options) => mla(checkpoint, options, calibration),
        };
        Ok(converted?)
    }
}
