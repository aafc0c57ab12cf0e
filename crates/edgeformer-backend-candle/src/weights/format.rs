use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Result};
use edgeformer_core::Format;

/// Candle's name for a quantized format, if it has it.
pub(super) fn quantized(format: Format) -> Option<GgmlDType> {
    Some(match format {
        Format::Q8_0 => GgmlDType::Q8_0,
        Format::Q4_0 => GgmlDType::Q4_0,
        Format::Q4_1 => GgmlDType::Q4_1,
        Format::Q5_0 => GgmlDType::Q5_0,
        Format::Q5_1 => GgmlDType::Q5_1,
        Format::Q2K => GgmlDType::Q2K,
        Format::Q3K => GgmlDType::Q3K,
        Format::Q4K => GgmlDType::Q4K,
        Format::Q5K => GgmlDType::Q5K,
        Format::Q6K => GgmlDType::Q6K,
        Format::F32 | Format::F16 | Format::BF16 | Format::Iq4Nl | Format::Iq4Xs => return None,
    })
}

/// The format that candle's name stands for.
///
/// # Errors
/// If none does.
pub(super) fn core(dtype: GgmlDType) -> Result<Format> {
    let known = Format::ALL.into_iter().find(|&format| quantized(format) == Some(dtype));
    known.ok_or_else(|| candle_core::Error::Msg(format!("{dtype:?} is no format of blocks")))
}

/// What a tensor becomes that candle has no quantized format for.
pub(super) fn float(format: Format) -> DType {
    match format {
        Format::F16 => DType::F16,
        Format::BF16 => DType::BF16,
        _ => DType::F32,
    }
}

/// Bytes that candle's own rearrangement of a quantized matrix takes besides it: it is made when
/// the matrix is first used, on processors whose kernels want it (candle-core's
/// `quantized/repack*.rs`).
pub(super) fn rearranged(format: Format, rows: usize, cols: usize, device: &Device) -> u64 {
    if !device.is_cpu() {
        return 0;
    }
    let whole = format.tensor_bytes(&[rows, cols]).unwrap_or(0) as u64;
    let tiles = rows.is_multiple_of(16) && cols.is_multiple_of(256);
    match format {
        // Codes of a byte and scales of 4 bytes.
        Format::Q6K if cfg!(target_arch = "x86_64") && tiles => (rows * cols * 5 / 4) as u64,
        Format::Q4K | Format::Q8_0 if cfg!(target_arch = "x86_64") && tiles => whole * 5 / 4,
        Format::Q4_0 | Format::Q4K | Format::Q5K | Format::Q6K | Format::Q8_0
            if cfg!(target_arch = "aarch64") =>
        {
            whole
        }
        _ => 0,
    }
}
