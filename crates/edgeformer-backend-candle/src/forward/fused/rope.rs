use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use edgeformer_core::graph::RopeLayout;
use rayon::prelude::*;

use super::ROWS;
use super::slice::{floats, with_floats};
use crate::vectors::wide;

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
            wide(Self::turn_rows, (self, made, [cos, sin], direction));
        });
        made
    }

    #[inline(always)]
    fn turn_rows((turning, rows, angles, direction): (&Self, &mut [f32], [&[f32]; 2], f32)) {
        let width = rows.len() * turning.pairs / angles[0].len();
        let [cos, sin] = angles.map(|all| all.chunks_exact(turning.pairs));
        for (row, (cos, sin)) in rows.chunks_exact_mut(width).zip(cos.zip(sin)) {
            for head in row.chunks_exact_mut(width / turning.heads) {
                turning.turn_head(head, cos, sin, direction);
            }
        }
    }

    #[inline(always)]
    fn turn_head(&self, head: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
        let angles = cos.iter().zip(sin.iter().map(|sin| direction * sin));
        let head = &mut head[..2 * self.pairs];
        match self.layout {
            RopeLayout::Halves => {
                let (first, second) = head.split_at_mut(self.pairs);
                let pairs = first.iter_mut().zip(second);
                pairs.zip(angles).for_each(|((a, b), angle)| turn_pair(a, b, angle));
            }
            RopeLayout::Interleaved => {
                for (pair, angle) in head.chunks_exact_mut(2).zip(angles) {
                    let (a, b) = pair.split_at_mut(1);
                    turn_pair(&mut a[0], &mut b[0], angle);
                }
            }
        }
    }
}

#[inline(always)]
fn turn_pair(a: &mut f32, b: &mut f32, (cos, sin): (&f32, f32)) {
    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
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
