use edgeformer_quantize::attention::{AttentionCalibration, AttentionCollector};

use crate::Result;
use crate::evaluate::{Reader, Subject, Windows};
use crate::quantize::{Told, read_all};

/// Reads windows of text and records what goes into the attention of each layer.
///
/// # Errors
/// If the backend shows no inputs, the model refuses the text, or a layer has no `attn_k`.
pub fn record(
    subject: &Subject,
    windows: &Windows,
    told: Told<'_>,
) -> Result<AttentionCalibration> {
    let collector = AttentionCollector::default();
    let mut reader = Reader::open(&subject.program, &subject.session)?;
    reader.observe(collector.observer())?;
    read_all(&mut reader, windows, "calibrating", told)?;
    Ok(collector.calibration()?)
}
