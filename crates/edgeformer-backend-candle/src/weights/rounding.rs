use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use edgeformer_core::Format;
use rayon::prelude::*;

/// A matrix as a format would hold it. Its gradient is that of the matrix itself: the
/// straight-through estimator (Bengio, Léonard, Courville: "Estimating or propagating gradients
/// through stochastic neurons", 2013), with which a model learns to live with its storage.
pub(super) struct Rounding(pub Format);

/// Blocks that one task takes.
const BLOCKS: usize = 256;

impl Rounding {
    /// Whether rows of so many values are whole blocks of it.
    pub fn fits(&self, cols: usize) -> bool {
        cols.is_multiple_of(self.0.block_len())
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

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gradient.clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use edgeformer_core::Tensor as Stored;

    use super::*;

    #[test]
    fn values_are_those_of_the_format_and_gradients_pass() {
        let matrix = Tensor::randn(0f32, 1.0, (300, 64), &Device::Cpu).unwrap();
        let matrix = Var::from_tensor(&matrix).unwrap();
        let values = matrix.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for format in [Format::Q4_0, Format::Q8_0] {
            let rounded = matrix.as_tensor().apply_op1(Rounding(format)).unwrap();
            let expected = Stored::quantize(format, [300, 64], &values).unwrap().to_f32();
            assert_eq!(rounded.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
            let loss = rounded.sqr().unwrap().sum_all().unwrap();
            let gradient = loss.backward().unwrap().remove(&matrix).unwrap();
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(gradient.iter().zip(&expected).all(|(found, value)| *found == 2.0 * value));
        }
    }
}
