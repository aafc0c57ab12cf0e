//! Methods that round a block without regard to the others.

use std::borrow::Cow;

use edgeformer_core::Format;

use super::grid::{Grid, Parts};
use super::hqq::HalfQuadratic;
use super::kquant;
use super::represent::groupwise;
use super::rtn::Clip;
use super::task::Task;
use super::{Method, Objective};
use crate::Result;

/// Rounds whole rows of `cols` weights each into `bytes`.
pub fn round(
    weights: &[f32],
    cols: usize,
    (format, grid): (Format, &Grid),
    method: &Method,
    importance: Option<&[f32]>,
    bytes: &mut [u8],
) -> Result<()> {
    // Where this crate has nothing to add, and the rival otherwise.
    format.quantize(weights, bytes)?;
    let blocks = weights.chunks_exact(grid.len).zip(bytes.chunks_exact_mut(grid.bytes));
    for (index, (values, bytes)) in blocks.enumerate() {
        let at = index * grid.len % cols;
        let importance = importance.map(|all| &all[at..at + grid.len]);
        round_block(grid, method, values, importance, bytes);
    }
    Ok(())
}

fn round_block(
    grid: &Grid,
    method: &Method,
    values: &[f32],
    importance: Option<&[f32]>,
    bytes: &mut [u8],
) {
    let weights = weights(method, values, importance);
    let Some(task) = Task::new(values, weights.as_deref()) else { return };
    let rival = task.reduce(grid.read(bytes));
    let parts = match method {
        Method::Rtn { clip_search: false } => return,
        Method::Rtn { clip_search: true } => {
            better(grid, &task, groupwise(grid, &task, &Clip), rival)
        }
        Method::Hqq => groupwise(grid, &task, &HalfQuadratic),
        Method::KQuant { .. } | Method::Gptq(_) => kquant::solve(grid, &task, Some(&rival)),
    };
    grid.write(&task.restore(parts), bytes);
}

fn better(grid: &Grid, task: &Task, parts: Parts, rival: Parts) -> Parts {
    if task.cost(grid, &rival) < task.cost(grid, &parts) { rival } else { parts }
}

/// What an error in each value costs; none if all cost the same.
fn weights<'a>(
    method: &Method,
    values: &[f32],
    importance: Option<&'a [f32]>,
) -> Option<Cow<'a, [f32]>> {
    match method {
        // Plain by definition.
        Method::Rtn { .. } | Method::Hqq => None,
        Method::KQuant { objective: Objective::Magnitude } => {
            let squares = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
            let base = 2.0 * squares / values.len().max(1) as f64;
            let large = |value: f32| (base + f64::from(value).powi(2)).sqrt() as f32;
            let of = |i: usize| importance.map_or(1.0, |all| all[i]);
            Some(values.iter().enumerate().map(|(i, &value)| of(i) * large(value)).collect())
        }
        Method::KQuant { objective: Objective::Error } | Method::Gptq(_) => {
            importance.map(Cow::Borrowed)
        }
    }
}
