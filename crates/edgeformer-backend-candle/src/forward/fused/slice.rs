use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// The values of contiguous f32.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a fused op is of contiguous f32"),
    }
}

/// Lets `look` see the values of a contiguous tensor of f32 on the processor.
pub(super) fn with_floats<T>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => look(floats(storage, layout)?),
        _ => bail!("a fused op is on the processor"),
    }
}
