//! One block to be rounded, brought to a scale at which sums stay in range.

use super::grid::{Grid, LONGEST, Parts};

/// Blocks below this have no scale that a half could hold.
const NEGLIGIBLE: f32 = 1e-15;

/// The values of a block divided by a power of two near the largest, and what an error in each
/// costs.
#[derive(Debug, Clone)]
pub struct Task {
    /// As many as the block has, then zeros.
    pub values: [f32; LONGEST],
    /// Of mean one over the block.
    pub weights: [f32; LONGEST],
    /// What a half can hold at this scale.
    pub halves: Halves,
}

impl Task {
    /// Of values and their weights (none: all alike); none if all values are as good as zero.
    ///
    /// NaN is taken for zero, and what is beyond 1e30 for 1e30, as by
    /// [`Format::quantize`](edgeformer_core::Format::quantize).
    pub fn new(values: &[f32], weights: Option<&[f32]>) -> Option<Self> {
        let mut task =
            Self { values: [0.0; LONGEST], weights: [1.0; LONGEST], halves: Halves::PLAIN };
        let held = &mut task.values[..values.len()];
        for (held, &value) in held.iter_mut().zip(values) {
            *held = if value.is_nan() { 0.0 } else { value.clamp(-1e30, 1e30) };
        }
        let largest = held.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        if largest < NEGLIGIBLE {
            return None;
        }
        // The exponent of the largest value alone: division by it is exact.
        let unit = f32::from_bits(largest.to_bits() & 0x7F80_0000);
        task.halves = Halves { unit };
        for value in &mut task.values[..values.len()] {
            *value /= unit;
        }
        if let Some(weights) = weights {
            task.weigh(weights);
        }
        Some(task)
    }

    /// Divides weights by their mean. What is never used still costs a little, so that its codes
    /// are not arbitrary.
    fn weigh(&mut self, weights: &[f32]) {
        const LEAST: f32 = 1e-7;
        let sane = |weight: f32| if weight > 0.0 { weight.min(f32::MAX) } else { 0.0 };
        let sum: f64 = weights.iter().map(|&weight| f64::from(sane(weight))).sum();
        let mean = sum / weights.len().max(1) as f64;
        if mean <= 0.0 {
            return;
        }
        for (held, &weight) in self.weights.iter_mut().zip(weights) {
            *held = (f64::from(sane(weight)) / mean) as f32 + LEAST;
        }
    }

    /// Gives scales back their magnitude.
    pub fn restore(&self, mut parts: Parts) -> Parts {
        parts.shared.scale *= self.halves.unit;
        parts.shared.min *= self.halves.unit;
        parts
    }

    /// Takes their magnitude from the scales of a block of these values.
    pub fn reduce(&self, mut parts: Parts) -> Parts {
        parts.shared.scale /= self.halves.unit;
        parts.shared.min /= self.halves.unit;
        parts
    }

    /// What a block of a format that holds codes and scales of this task costs.
    pub fn cost(&self, grid: &Grid, parts: &Parts) -> f32 {
        let groups = (0..grid.groups()).map(|index| {
            let group = parts.group(index);
            let at = index * grid.group..(index + 1) * grid.group;
            let codes = parts.codes[at.clone()].iter();
            let held = codes.map(|&code| group.scale * f32::from(code) - group.min);
            let pairs = self.values[at.clone()].iter().zip(&self.weights[at]);
            held.zip(pairs)
                .map(|(held, (value, weight))| weight * (held - value).powi(2))
                .sum::<f32>()
        });
        groups.sum::<f32>()
    }
}

/// The halves, divided by a power of two.
#[derive(Debug, Clone, Copy)]
pub struct Halves {
    unit: f32,
}

impl Halves {
    /// As they are.
    pub const PLAIN: Self = Self { unit: 1.0 };

    /// The nearest of them, never infinite.
    pub fn nearest(self, value: f32) -> f32 {
        let limit = half::f16::MAX.to_f32();
        let value = (value * self.unit).clamp(-limit, limit);
        half::f16::from_f32(value).to_f32() / self.unit
    }

    /// The nearest that is not nearer to zero, for scales that must not cut much off.
    pub fn not_below(self, value: f32) -> f32 {
        let limit = half::f16::MAX.to_f32();
        let exact = (value * self.unit).clamp(-limit, limit);
        let half = half::f16::from_f32(exact);
        let short = half.to_f32().abs() < exact.abs();
        let half = if short { half::f16::from_bits(half.to_bits() + 1) } else { half };
        half.to_f32() / self.unit
    }
}
