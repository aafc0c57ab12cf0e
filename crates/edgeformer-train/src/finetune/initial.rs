use std::path::Path;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::random::Random;
use edgeformer_models::initial::{Initial, write_initial};

use crate::Result;

/// What the numbers of a new model are for.
const WEIGHTS: u64 = 5;

/// Writes the model that the `config.json` in a folder describes, with weights that follow from the
/// seed alone, and with the folder's tokenizer.
///
/// # Errors
/// If the configuration is damaged or of no model that continues text, or writing fails.
pub fn write_random(config: &Path, to: &Path, seed: u64) -> Result<()> {
    Ok(write_initial(config, to, &mut drawn(seed, WEIGHTS))?)
}

/// Values of weights, one after the other: of each they follow from the seed, what they are for, and
/// its place alone.
pub(super) fn drawn(seed: u64, purpose: u64) -> impl FnMut(&WeightInfo, Initial) -> Vec<f32> {
    let mut index = 0;
    move |info, initial| {
        let mut random = Random::of(seed, &[purpose, index]);
        index += 1;
        let count = info.shape.iter().product();
        match initial {
            Initial::Constant(value) => vec![value; count],
            Initial::Normal(deviation) => {
                (0..count).map(|_| deviation * random.gaussian() as f32).collect()
            }
        }
    }
}
