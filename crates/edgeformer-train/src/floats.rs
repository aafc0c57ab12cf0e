//! The values of tensors that ops of ours see: contiguous f32 on the processor.

use candle_core::{CpuStorage, Layout, Result, bail};

/// Those of a tensor.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("what learns, and its gradients, are contiguous f32"),
    }
}

/// Those of a tensor that is changed in its place.
pub(crate) fn floats_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("what learns, and its gradients, are contiguous f32"),
    }
}
