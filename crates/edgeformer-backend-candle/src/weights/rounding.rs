use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use edgeformer_core::Format;
use rayon::prelude::*;

/// A matrix as a format would hold it. The gradient of a product with it passes it by, to the matrix
/// itself: the straight-through estimator (Bengio, Léonard, Courville: "Estimating or propagating
/// gradients through stochastic neurons", 2013), with which a model learns to live with its storage.
pub(super) struct Rounding(pub Format);

/// Blocks that one task takes.
const BLOCKS: usize = 256;

impl Rounding {
    /// Whether rows of so many values are whole blocks of it.
    pub fn fits(&self, cols: usize) -> bool {
        cols.is_multiple_of(self.0.block_len())
    }

    /// What is made of a matrix on the processor; it leads back to nothing.
    pub fn of(self, matrix: &Tensor) -> Result<Tensor> {
        matrix.contiguous()?.detach().apply_op1_no_bwd(&self)
    }
}

impl CustomOp1 for Rounding {
    fn name(&self) -> &'static str {
        "rounding"
    }

    fn cpu_fwd(&self, matrix: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("a matrix must be contiguous to be rounded");
        };
        let values = &matrix.as_slice::<f32>()?[from..to];
        let mut rounded = vec![0.0; values.len()];
        let chunk = BLOCKS * self.0.block_len();
        let bytes = |values: usize| values / self.0.block_len() * self.0.block_bytes();
        rounded
            .par_chunks_mut(chunk)
            .zip(values.par_chunks(chunk))
            .try_for_each(|(rounded, values)| {
                let mut stored = vec![0; bytes(values.len())];
                self.0.quantize(values, &mut stored)?;
                self.0.dequantize(&stored, rounded)
            })
            .map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(rounded), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use edgeformer_core::Tensor as Stored;

    use super::*;

    #[test]
    fn values_are_those_of_the_format() {
        let matrix = Tensor::randn(0f32, 1.0, (300, 64), &Device::Cpu).unwrap();
        let values = matrix.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for format in [Format::Q4_0, Format::Q8_0] {
            let rounded = Rounding(format).of(&matrix).unwrap();
            let expected = Stored::quantize(format, [300, 64], &values).unwrap().to_f32();
            assert_eq!(rounded.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
        }
    }
}
