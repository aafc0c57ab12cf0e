use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};
use edgeformer_backend_candle::vectors::wide;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

use super::moments::{BLOCK, Moments, MomentsMut};
use crate::Result;
use crate::floats::{floats, floats_mut};

/// What AdamW is set to (Loshchilov and Hutter: "Decoupled weight decay regularization", 2019,
/// algorithm 2). The defaults are PyTorch's, but for no weight decay, which is `transformers`'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWOptions {
    /// Decay of the mean of gradients, and of that of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of a weight that is taken off, times the learning rate.
    pub weight_decay: f64,
    /// Whether vectors (norms, biases) decay too.
    pub decay_vectors: bool,
    /// Whether moments are kept in 8 bits (Dettmers et al.: "8-bit optimizers via block-wise
    /// quantization", 2022), which takes a quarter of the memory.
    pub eight_bit: bool,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self {
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decay_vectors: false,
            eight_bit: false,
        }
    }
}

/// The factors of one update of one weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    betas: [f32; 2],
    eps: f32,
    /// What is left of a weight.
    kept: f32,
    /// The learning rate over the first bias correction.
    rate: f32,
    /// One over the root of the second bias correction.
    correction: f32,
    /// What gradients are multiplied with: clipping.
    clip: f32,
}

impl AdamWOptions {
    /// The factors of update `count`, counted from 1, of a weight of these dimensions.
    pub(crate) fn update(&self, count: u64, rate: f64, clip: f64, dims: usize) -> Update {
        let power = i32::try_from(count).unwrap_or(i32::MAX);
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powi(power));
        let decays = dims > 1 || self.decay_vectors;
        let decay = if decays { self.weight_decay } else { 0.0 };
        Update {
            betas: self.betas.map(|beta| beta as f32),
            eps: self.eps as f32,
            kept: (1.0 - rate * decay) as f32,
            rate: (rate / first) as f32,
            correction: (1.0 / second.sqrt()) as f32,
            clip: clip as f32,
        }
    }
}

/// Values that are updated together.
struct Block<'a> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    /// The means of gradients, and of their squares.
    moments: [&'a mut [f32]; 2],
}

impl Update {
    /// Updates a variable in its place.
    pub fn apply(self, variable: &Var, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
        let gradient = gradient.contiguous()?;
        if variable.device().is_cpu() {
            let step = InPlace { update: self, moments: Mutex::new(moments) };
            return Ok(variable.as_tensor().inplace_op2(&gradient, &step)?);
        }
        let mut values = variable.flatten_all()?.to_vec1::<f32>()?;
        self.slices(&mut values, &gradient.flatten_all()?.to_vec1::<f32>()?, moments);
        Ok(variable.set(&Tensor::from_vec(values, variable.shape(), variable.device())?)?)
    }

    fn slices(self, values: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        let blocks = values.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK));
        blocks.zip(moments.blocks_mut()).for_each(|((values, gradient), moments)| {
            moments.change(values.len(), |first, second| {
                wide(Self::block, (self, Block { values, gradient, moments: [first, second] }));
            });
        });
    }

    #[inline(always)]
    fn block((update, block): (Self, Block<'_>)) {
        let Self { betas: [beta1, beta2], eps, kept, rate, correction, clip } = update;
        let Block { values, gradient, moments: [first, second] } = block;
        let moments = first.iter_mut().zip(second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * clip;
            *first += (1.0 - beta1) * (gradient - *first);
            *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
            let root = second.sqrt() * correction + eps;
            *value = *value * kept - rate * *first / root;
        }
    }
}

/// The update as candle's storage takes it.
struct InPlace<'a> {
    update: Update,
    moments: Mutex<&'a mut Moments>,
}

impl InplaceOp2 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        values: &mut CpuStorage,
        at: &Layout,
        gradient: &CpuStorage,
        gradient_at: &Layout,
    ) -> candle_core::Result<()> {
        let (values, gradient) = (floats_mut(values, at)?, floats(gradient, gradient_at)?);
        let mut moments = self.moments.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.update.slices(values, gradient, &mut moments);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Algorithm 2 of the paper as PyTorch writes it, in f64.
    fn plainly(values: &mut [f64], gradients: &[Vec<f64>], options: &AdamWOptions, rate: f64) {
        let [beta1, beta2] = options.betas;
        let mut moments = vec![[0.0f64; 2]; values.len()];
        for (count, gradients) in (1..).zip(gradients) {
            for ((value, gradient), [m, v]) in values.iter_mut().zip(gradients).zip(&mut moments) {
                *value *= 1.0 - rate * options.weight_decay;
                *m = beta1 * *m + (1.0 - beta1) * gradient;
                *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
                let (m, v) = (*m / (1.0 - beta1.powi(count)), *v / (1.0 - beta2.powi(count)));
                *value -= rate * m / (v.sqrt() + options.eps);
            }
        }
    }

    fn updated(options: &AdamWOptions, start: &[f64], gradients: &[Vec<f64>]) -> Vec<f64> {
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let shape = (1, start.len());
        let variable = Var::from_vec(single(start), shape, &Device::Cpu).unwrap();
        let mut moments = Moments::zeros(start.len(), options.eight_bit);
        for (count, gradient) in (1..).zip(gradients) {
            let gradient = Tensor::from_vec(single(gradient), shape, &Device::Cpu).unwrap();
            let update = options.update(count, 1e-2, 1.0, 2);
            update.apply(&variable, &gradient, &mut moments).unwrap();
        }
        let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f64::from).collect()
    }

    fn case() -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut random = edgeformer_core::random::Random::of(5, &[]);
        let mut drawn = |count: usize, spread: f64| -> Vec<f64> {
            (0..count).map(|_| spread * random.gaussian()).collect()
        };
        let start = drawn(700, 1.0);
        (start, (0..20).map(|_| drawn(700, 0.1)).collect())
    }

    #[test]
    fn updates_are_those_of_the_paper() {
        let options = AdamWOptions { weight_decay: 0.01, ..AdamWOptions::default() };
        let (start, gradients) = case();
        let found = updated(&options, &start, &gradients);
        let mut expected = start;
        plainly(&mut expected, &gradients, &options, 1e-2);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn eight_bits_of_moments_go_nearly_the_same_way() {
        let (start, gradients) = case();
        let full = updated(&AdamWOptions::default(), &start, &gradients);
        let eight = AdamWOptions { eight_bit: true, ..AdamWOptions::default() };
        let eight = updated(&eight, &start, &gradients);
        let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let between =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let moved = norm(&between(&full, &start));
        let apart = norm(&between(&full, &eight));
        assert!(apart > 0.0 && apart < 0.05 * moved, "{apart} of {moved}");
    }

    #[test]
    fn vectors_decay_only_if_told_to() {
        let options = AdamWOptions { weight_decay: 0.5, ..AdamWOptions::default() };
        assert_eq!(options.update(1, 0.1, 1.0, 1).kept, 1.0);
        assert_eq!(options.update(1, 0.1, 1.0, 2).kept, 0.95);
        let all = AdamWOptions { decay_vectors: true, ..options };
        assert_eq!(all.update(1, 0.1, 1.0, 1).kept, 0.95);
    }
}
