use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, InplaceOp2, Layout, Shape, Tensor};
use edgeformer_backend_candle::MatrixGradients;
use edgeformer_backend_candle::vectors::wide;
use rayon::prelude::*;

use crate::Result;
use crate::floats::{floats, floats_mut};
use crate::parameters::Parameter;

/// The gradients of all parameters, by their order. A parameter that the loss does not depend on
/// has none.
#[derive(Debug, Default)]
pub(crate) struct Gradients {
    sums: Vec<Option<Tensor>>,
}

impl Gradients {
    /// Takes those that were found, or some of them.
    pub fn take(&mut self, parameters: &[Parameter], found: &mut GradStore) -> Result<()> {
        self.sums.resize(parameters.len(), None);
        for (sum, parameter) in self.sums.iter_mut().zip(parameters) {
            let Some(gradient) = found.remove(&parameter.variable) else { continue };
            // Candle computes it from activations that are tracked: it would keep all of them.
            add(sum, gradient.detach())?;
        }
        Ok(())
    }

    /// Takes those that products have put aside.
    pub fn take_aside(&mut self, parameters: &[Parameter], aside: &MatrixGradients) -> Result<()> {
        self.sums.resize(parameters.len(), None);
        for (sum, parameter) in self.sums.iter_mut().zip(parameters) {
            let found = aside.take(&parameter.variable);
            found.map_or(Ok(()), |gradient| add(sum, gradient))?;
        }
        Ok(())
    }

    /// Adds those of another share of a batch.
    pub fn join(&mut self, other: Self) -> Result<()> {
        self.sums.resize(self.sums.len().max(other.sums.len()), None);
        for (sum, gradient) in self.sums.iter_mut().zip(other.sums) {
            gradient.map_or(Ok(()), |gradient| add(sum, gradient))?;
        }
        Ok(())
    }

    /// The gradient of a parameter.
    pub fn of(&self, index: usize) -> Option<&Tensor> {
        self.sums.get(index)?.as_ref()
    }

    /// The root of the sum of all squares.
    pub fn norm(&self) -> Result<f64> {
        let mut squares = 0.0;
        for gradient in self.sums.iter().flatten() {
            let host = gradient.to_device(&candle_core::Device::Cpu)?.contiguous()?;
            squares += host.apply_op1_no_bwd(&Squares)?.to_scalar::<f64>()?;
        }
        Ok(squares.sqrt())
    }
}

/// Elements that one thread adds up: sums do not depend on how many threads there are.
const CHUNK: usize = 1 << 14;

/// Adds a gradient to a sum, in its place where it lies on the processor: nobody else has it.
fn add(sum: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    match sum {
        None => *sum = Some(gradient),
        Some(sum) if sum.device().is_cpu() => sum.inplace_op2(&gradient, &Add)?,
        Some(one) => *sum = Some((&*one + gradient)?),
    }
    Ok(())
}

/// The second, added to the first.
struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add-gradients"
    }

    fn cpu_fwd(
        &self,
        sums: &mut CpuStorage,
        at: &Layout,
        added: &CpuStorage,
        added_at: &Layout,
    ) -> candle_core::Result<()> {
        let sums = floats_mut(sums, at)?.par_chunks_mut(CHUNK);
        let chunks = sums.zip(floats(added, added_at)?.par_chunks(CHUNK));
        chunks.for_each(|(sums, added)| {
            wide(add_to, (sums, added));
        });
        Ok(())
    }
}

#[inline(always)]
fn add_to((sums, added): (&mut [f32], &[f32])) {
    sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
}

/// The sum of squares, in f64.
struct Squares;

impl CustomOp1 for Squares {
    fn name(&self) -> &'static str {
        "sum-of-squares"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let chunks = floats(storage, layout)?.par_chunks(CHUNK);
        let sums: Vec<f64> = chunks.map(|chunk| wide(squares, chunk)).collect();
        Ok((CpuStorage::F64(vec![sums.iter().sum()]), Shape::from(())))
    }
}

/// The sum of squares of a chunk: eight sums side by side, in vectors.
#[inline(always)]
fn squares(chunk: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    for some in chunk.chunks(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(some) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    sums.iter().sum()
}
