use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor, bail};
use edgeformer_backend_candle::vectors::{exp, max, sum_of, wide};
use rayon::prelude::*;

use crate::floats::floats;

/// The sum over rows of `-ln softmax(logits)[target]`, a scalar of f64; rows without a target add
/// nothing. `logits` is `[rows, classes]`.
///
/// On the processor it is one pass there and one back: candle's operations would keep four copies
/// of what is the largest tensor of a language model.
///
/// # Errors
/// If candle fails.
pub(super) fn cross_entropy(logits: &Tensor, targets: &[Option<u32>]) -> Result<Tensor> {
    if logits.device().is_cpu() && logits.dtype() == DType::F32 {
        return logits.contiguous()?.apply_op1(CrossEntropy { targets: targets.to_vec() });
    }
    composed(logits, targets)
}

fn composed(logits: &Tensor, targets: &[Option<u32>]) -> Result<Tensor> {
    let device = logits.device();
    let classes: Vec<u32> = targets.iter().map(|target| target.unwrap_or(0)).collect();
    let counts: Vec<f64> = targets.iter().map(|target| f64::from(target.is_some())).collect();
    let classes = Tensor::from_vec(classes, (targets.len(), 1), device)?;
    let counts = Tensor::from_vec(counts, targets.len(), device)?;
    let wide = logits.to_dtype(DType::F64)?;
    let largest = wide.max_keepdim(D::Minus1)?.detach();
    let shifted = wide.broadcast_sub(&largest)?;
    let all = shifted.exp()?.sum(D::Minus1)?.log()?;
    let chosen = shifted.contiguous()?.gather(&classes, 1)?.squeeze(1)?;
    ((all - chosen)? * counts)?.sum_all()
}

struct CrossEntropy {
    targets: Vec<Option<u32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (logits, classes) = rows(storage, layout, self.targets.len())?;
        let loss = |(row, target): (&[f32], &Option<u32>)| {
            let (largest, sum) = wide(normaliser, row);
            target.map_or(0.0, |target| {
                f64::from(sum.ln()) - f64::from(row[target as usize] - largest)
            })
        };
        let rows = logits.par_chunks_exact(classes).zip(&self.targets);
        let losses: Vec<f64> = rows.map(loss).collect();
        Ok((CpuStorage::F64(vec![losses.iter().sum()]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f64>()? as f32;
        let back = Back { targets: &self.targets, scale };
        logits.apply_op1_no_bwd(&back).map(Some)
    }
}

/// The gradient: `scale * (softmax(logits) - one at the target)`.
struct Back<'a> {
    targets: &'a [Option<u32>],
    scale: f32,
}

impl CustomOp1 for Back<'_> {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (logits, classes) = rows(storage, layout, self.targets.len())?;
        let mut gradient = vec![0.0f32; logits.len()];
        let rows = gradient.par_chunks_exact_mut(classes).zip(logits.par_chunks_exact(classes));
        rows.zip(self.targets).for_each(|((gradient, row), target)| {
            let Some(target) = target else { return };
            wide(softmax, (row, self.scale, gradient));
            gradient[*target as usize] -= self.scale;
        });
        Ok((CpuStorage::F32(gradient), layout.shape().clone()))
    }
}

/// `scale` times the softmax of a row.
#[inline(always)]
fn softmax((row, scale, made): (&[f32], f32, &mut [f32])) {
    let (largest, sum) = normaliser(row);
    let scale = scale / sum;
    made.iter_mut().zip(row).for_each(|(made, logit)| *made = scale * exp(logit - largest));
}

/// The largest logit, and the sum of exponentials of what the others are below it.
#[inline(always)]
fn normaliser(row: &[f32]) -> (f32, f32) {
    let largest = max(row);
    (largest, sum_of(row, |logit| exp(logit - largest)))
}

fn rows<'a>(storage: &'a CpuStorage, layout: &Layout, count: usize) -> Result<(&'a [f32], usize)> {
    let values = floats(storage, layout)?;
    let (rows, classes) = layout.shape().dims2()?;
    if rows != count {
        bail!("{count} targets for {rows} rows");
    }
    Ok((values, classes))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_op_is_its_composition_and_so_is_its_gradient() {
        let logits = Tensor::randn(0f32, 3.0, (5, 11), &Device::Cpu).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let targets = [Some(3), None, Some(0), Some(10), Some(3)];
        let sides = [cross_entropy, composed].map(|loss| {
            let loss = loss(&logits, &targets).unwrap();
            let halved = (&loss * 0.5).unwrap();
            let gradient = halved.backward().unwrap().remove(&logits).unwrap();
            (loss.to_scalar::<f64>().unwrap(), gradient.to_vec2::<f32>().unwrap().concat())
        });
        assert!((sides[0].0 - sides[1].0).abs() < 1e-5 * sides[1].0);
        let pairs = sides[0].1.iter().zip(&sides[1].1);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(pairs.clone().any(|(a, _)| a.abs() > 0.1));
    }

    #[test]
    fn large_logits_have_a_finite_loss() {
        let logits = Tensor::new(&[[1e30f32, -1e30], [5e4, 5e4]], &Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &[Some(0), Some(1)]).unwrap();
        assert!((loss.to_scalar::<f64>().unwrap() - 2f64.ln()).abs() < 1e-6);
    }
}
