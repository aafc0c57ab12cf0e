//! Groups chosen one by one, and what a block can store of them.

use edgeformer_core::quant::Group;

use super::coder::{Book, Coder, Range};
use super::fit::{Fit, inverse};
use super::grid::{Codes, Grid, MOST_GROUPS, Parts, Scales};
use super::kquant;
use super::task::{Halves, Task};

/// A way to choose a scale and a minimum for a group without regard to the others.
pub trait Choice {
    /// The choice for one group; the minimum is left out where the format has none.
    fn choose<C: Coder, const N: usize>(&self, fit: &Fit<'_, C, N>, scales: Scales) -> Group;
}

/// Chooses for every group, stores what can be stored, and rounds to the nearest codes.
pub fn groupwise(grid: &Grid, task: &Task, choice: &impl Choice) -> Parts {
    let ideal = match (grid.codes, grid.group) {
        (Codes::Book, _) => each::<_, 32>(grid, task, Book, choice),
        (Codes::Range(low, high), 16) => each::<_, 16>(grid, task, Range { low, high }, choice),
        (Codes::Range(low, high), _) => each::<_, 32>(grid, task, Range { low, high }, choice),
    };
    let mut parts = represent(grid.scales, task.halves, &ideal[..grid.groups()]);
    kquant::round(grid, task, &mut parts);
    parts
}

fn each<C: Coder, const N: usize>(
    grid: &Grid,
    task: &Task,
    coder: C,
    choice: &impl Choice,
) -> [Group; MOST_GROUPS] {
    let mut chosen = [Group { scale: 0.0, min: 0.0 }; MOST_GROUPS];
    let values = task.values[..grid.len].as_chunks::<N>().0;
    let weights = task.weights[..grid.len].as_chunks::<N>().0;
    for (chosen, (values, weights)) in chosen.iter_mut().zip(values.iter().zip(weights)) {
        *chosen = choice.choose(&Fit { values, weights, coder }, grid.scales);
    }
    chosen
}

/// The stored scales and minima nearest to given ones; all codes zero.
fn represent(scales: Scales, halves: Halves, ideal: &[Group]) -> Parts {
    let mut parts = Parts::ZERO;
    let shared = &mut parts.shared;
    match scales {
        Scales::Half | Scales::HalfWithMin => {
            shared.scale = halves.nearest(ideal[0].scale);
            shared.min = halves.nearest(ideal[0].min);
            (shared.scales[0], shared.mins[0]) = (1, u8::from(scales.has_min()));
        }
        Scales::Whole(low, high) => {
            let extreme = ideal
                .iter()
                .map(|group| group.scale)
                .fold(0.0f32, |most, scale| if scale.abs() > most.abs() { scale } else { most });
            shared.scale = halves.not_below(extreme / low);
            let inverse = inverse(shared.scale);
            for (whole, group) in shared.scales.iter_mut().zip(ideal) {
                *whole = (group.scale * inverse).round().clamp(low, high) as i8;
            }
        }
        Scales::WholeWithMin(high) => {
            let most = |of: fn(&Group) -> f32| ideal.iter().map(of).fold(0.0, f32::max);
            shared.scale = halves.not_below(most(|group| group.scale) / high);
            shared.min = halves.not_below(most(|group| group.min) / high);
            let inverses = (inverse(shared.scale), inverse(shared.min));
            for (i, group) in ideal.iter().enumerate() {
                shared.scales[i] = (group.scale * inverses.0).round().clamp(0.0, high) as i8;
                shared.mins[i] = (group.min * inverses.1).round().clamp(0.0, high) as u8;
            }
        }
    }
    parts
}
