use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use half::slice::HalfFloatSliceExt;

/// The same values in a wider type. Candle converts half floats one by one on the processor; this
/// does it by whole slices.
pub(crate) fn widen(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    let halves = matches!(tensor.dtype(), DType::F16 | DType::BF16);
    if tensor.device().is_cpu() && dtype == DType::F32 && halves {
        return tensor.apply_op1(Widen);
    }
    tensor.to_dtype(dtype)
}

/// Half floats to f32, contiguous.
struct Widen;

impl CustomOp1 for Widen {
    fn name(&self) -> &'static str {
        "widen"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut wide = vec![0.0f32; layout.shape().elem_count()];
        match storage {
            CpuStorage::F16(values) => each_slice(values, layout, &mut wide, |from, to| {
                from.convert_to_f32_slice(to);
            }),
            CpuStorage::BF16(values) => each_slice(values, layout, &mut wide, |from, to| {
                from.convert_to_f32_slice(to);
            }),
            _ => bail!("only half floats are widened"),
        }
        Ok((CpuStorage::F32(wide), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.to_dtype(arg.dtype())?))
    }
}

/// Calls `convert` with every run of neighbours of a layout, and where it goes.
fn each_slice<T>(from: &[T], layout: &Layout, to: &mut [f32], convert: impl Fn(&[T], &mut [f32])) {
    let (dims, strides) = (layout.dims(), layout.stride());
    // Dimensions from `outer` on lie behind each other without a gap.
    let mut block = 1;
    let mut outer = dims.len();
    while outer > 0 && (dims[outer - 1] == 1 || strides[outer - 1] == block) {
        outer -= 1;
        block *= dims[outer];
    }
    for (index, to) in to.chunks_exact_mut(block.max(1)).enumerate() {
        let mut rest = index;
        let mut start = layout.start_offset();
        for (dim, stride) in dims[..outer].iter().zip(strides).rev() {
            start += rest % dim * stride;
            rest /= dim;
        }
        convert(&from[start..start + block], to);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

    use super::*;

    #[test]
    fn every_layout_is_widened_as_candle_does_it() {
        let values: Vec<f32> = (0..120).map(|value| value as f32 * 0.37 - 20.0).collect();
        let wide = Tensor::from_vec(values, (4, 5, 6), &Device::Cpu).unwrap();
        for dtype in [DType::F16, DType::BF16] {
            let halves = wide.to_dtype(dtype).unwrap();
            let views = [
                halves.clone(),
                halves.narrow(1, 1, 3).unwrap(),
                halves.narrow(2, 2, 3).unwrap(),
                halves.transpose(0, 1).unwrap(),
                halves.narrow(0, 1, 2).unwrap().transpose(0, 2).unwrap(),
                halves.narrow(D::Minus1, 5, 1).unwrap(),
            ];
            for view in views {
                let found = widen(&view, DType::F32).unwrap();
                let expected = view.to_dtype(DType::F32).unwrap();
                let flat =
                    |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(found.dims(), expected.dims());
                assert_eq!(flat(&found), flat(&expected));
            }
        }
    }
}
