//! Weights from a seed.

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Format, Graph, Model, Result, Tensor, Weight, Weights, random};

/// A model over `graph` with pseudo-random weights: the same for the same seed, everywhere. Rows of
/// matrices have unit length on average, so that values keep their scale; norms lie around one.
///
/// # Errors
/// If a weight's rows are not whole blocks of the format that `format` chooses for it.
pub fn random_model(
    graph: Graph,
    seed: u64,
    format: impl Fn(&WeightInfo) -> Format,
) -> Result<Model> {
    let mut weights = Weights::default();
    for info in &graph.weights {
        let values = values(info, seed);
        let tensor = Tensor::quantize(format(info), info.shape.clone(), &values)?;
        weights.insert(info.name.clone(), Weight::whole(tensor));
    }
    Ok(Model { graph, weights })
}

fn values(info: &WeightInfo, seed: u64) -> Vec<f32> {
    let mut random = Random::new(
        info.name
            .bytes()
            .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
    );
    let (middle, spread) = match info.shape.as_slice() {
        [_] if info.name.contains("norm") && info.name.ends_with("weight") => (1.0, 0.3),
        [_] => (0.0, 0.3),
        shape => {
            let row = shape.last().copied().unwrap_or(1);
            (0.0, (3.0 / row as f32).sqrt())
        }
    };
    let elements = info.shape.iter().product();
    (0..elements).map(|_| middle + spread * random.uniform()).collect()
}

/// SplitMix64, in the distributions that cases need.
pub(crate) struct Random(random::Random);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(random::Random::seeded(seed))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// From -1 to 1.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Token ids below `vocabulary`.
    pub(crate) fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<u32> {
        (0..count).map(|_| (self.draw() % vocabulary as u64) as u32).collect()
    }
}
