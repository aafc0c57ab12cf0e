use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use edgeformer_core::graph::RopeLayout;
use rayon::prelude::*;

use super::ROWS;
use super::slice::{floats, with_floats};

/// Turns the first `2 * pairs` columns of every head of `[rows, heads * size]` by angles whose
/// cosines and sines are `[rows, 1, pairs]`. Nothing flows into the angles.
pub(in crate::forward) struct Turning {
    pub heads: usize,
    pub pairs: usize,
    pub layout: RopeLayout,
}

impl Turning {
    /// Turns forwards, or backwards: the gradient is turned the other way.
    fn turn(&self, x: &[f32], cos: &[f32], sin: &[f32], direction: f32) -> Vec<f32> {
        let rows = cos.len() / self.pairs;
        let width = x.len() / rows.max(1);
        let mut made = x.to_vec();
        let angles = cos.par_chunks(ROWS * self.pairs).zip(sin.par_chunks(ROWS * self.pairs));
        made.par_chunks_mut(ROWS * width).zip(angles).for_each(|(made, (cos, sin))| {
            let angles = cos.chunks_exact(self.pairs).zip(sin.chunks_exact(self.pairs));
            for (row, (cos, sin)) in made.chunks_exact_mut(width).zip(angles) {
                for head in row.chunks_exact_mut(width / self.heads) {
                    self.turn_head(head, cos, sin, direction);
                }
            }
        });
        made
    }

    fn turn_head(&self, head: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
        for (pair, (cos, sin)) in cos.iter().zip(sin).enumerate() {
            let (first, second) = match self.layout {
                RopeLayout::Halves => (pair, pair + self.pairs),
                RopeLayout::Interleaved => (2 * pair, 2 * pair + 1),
            };
            let (a, b, sin) = (head[first], head[second], direction * sin);
            head[first] = a * cos - b * sin;
            head[second] = b * cos + a * sin;
        }
    }
}

impl CustomOp3 for Turning {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_at: &Layout,
        cos: &CpuStorage,
        cos_at: &Layout,
        sin: &CpuStorage,
        sin_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let made = self.turn(floats(x, x_at)?, floats(cos, cos_at)?, floats(sin, sin_at)?, 1.0);
        Ok((CpuStorage::F32(made), x_at.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        _y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let made = with_floats(&gradient, |gradient| {
            with_floats(cos, |cos| with_floats(sin, |sin| Ok(self.turn(gradient, cos, sin, -1.0))))
        })?;
        Ok((Some(Tensor::from_vec(made, x.shape(), x.device())?), None, None))
    }
}
