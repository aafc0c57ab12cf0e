//! The memory of a run, known before it begins.

use edgeformer_backend_candle::{GradientLoad, gradient_bytes, learning_bytes};
use edgeformer_core::Model;
use serde::Serialize;

use crate::Result;
use crate::optimizer::Moments;

/// What decides how much memory a run takes.
#[derive(Debug, Clone, Copy)]
pub struct RunShape<'a> {
    /// Which weights learn, by their order in the graph.
    pub learns: &'a [bool],
    /// Whether inputs of products with a weight are partly left out.
    pub drops: &'a [bool],
    /// Whether products see a weight rounded.
    pub rounds: &'a [bool],
    /// Tokens, or images and signals, of a share of a batch.
    pub tokens: usize,
    /// Sequences of a share.
    pub sequences: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Rows of a share that have something to learn.
    pub output_rows: usize,
    /// Whether a batch has several shares, whose gradients are added up.
    pub several_shares: bool,
    /// Shares that go through the model at the same time.
    pub side_by_side: usize,
    /// Whether activations are computed again backward.
    pub checkpointing: bool,
    /// Whether moments are kept in 8 bits.
    pub eight_bit: bool,
    /// Whether a mean of the weights is kept.
    pub average: bool,
}

/// Bytes that a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Weights, those that learn in f32; those that products see rounded are there twice.
    pub weights: u64,
    /// Moments of the optimizer.
    pub moments: u64,
    /// The mean of the weights, and the best of them that are kept.
    pub averages: u64,
    /// Gradients of a batch, while those of its shares are added up.
    pub gradients: u64,
    /// Activations that are kept to find gradients.
    pub activations: u64,
    /// What is found of gradients, and what finding them takes for a moment.
    pub backward: u64,
}

impl MemoryPlan {
    /// What a run over a model takes, its data and the program aside.
    ///
    /// # Errors
    /// If a weight of the graph is missing.
    pub fn of(model: &Model, shape: &RunShape<'_>) -> Result<Self> {
        let elements = model.graph.weights.iter().zip(shape.learns).filter(|(_, learns)| **learns);
        let elements: Vec<usize> = elements.map(|(info, _)| info.shape.iter().product()).collect();
        let floats = 4 * elements.iter().sum::<usize>() as u64;
        let moments = elements.iter().map(|&count| Moments::bytes(count, shape.eight_bit)).sum();
        let load = GradientLoad {
            tokens: shape.tokens,
            sequences: shape.sequences,
            longest: shape.longest,
            output_rows: shape.output_rows,
            learns: shape.learns,
            drops: shape.drops,
            checkpointing: shape.checkpointing,
        };
        let rounded = model.graph.weights.iter().zip(shape.rounds).filter(|(_, rounds)| **rounds);
        let rounded = rounded.map(|(info, _)| 4 * info.shape.iter().product::<usize>() as u64);
        let found = gradient_bytes(&model.graph, &load);
        // Sums are there beside what the next shares find.
        let gradients = if shape.several_shares { floats } else { 0 };
        let side_by_side = shape.side_by_side.max(1) as u64;
        Ok(Self {
            weights: learning_bytes(model, shape.learns)? + rounded.sum::<u64>(),
            moments,
            averages: if shape.average { floats } else { 0 },
            gradients,
            activations: side_by_side * found.activations,
            backward: side_by_side * (found.peak - found.activations),
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let Self { weights, moments, averages, gradients, activations, backward } = self;
        weights + moments + averages + gradients + activations + backward
    }
}
