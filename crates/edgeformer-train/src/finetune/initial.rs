use std::path::Path;

use edgeformer_models::initial::{Initial, write_initial};

use crate::Result;
use edgeformer_core::random::Random;

/// What the numbers of a new model are for.
const WEIGHTS: u64 = 5;

/// Writes the model that the `config.json` in a folder describes, with weights that follow from the
/// seed alone, and with the folder's tokenizer.
///
/// # Errors
/// If the configuration is damaged or of no model that continues text, or writing fails.
pub fn write_random(config: &Path, to: &Path, seed: u64) -> Result<()> {
    let mut index = 0;
    Ok(write_initial(config, to, &mut |info, initial| {
        let mut random = Random::of(seed, &[WEIGHTS, index]);
        index += 1;
        let count = info.shape.iter().product();
        match initial {
            Initial::Constant(value) => vec![value; count],
            Initial::Normal(deviation) => {
                (0..count).map(|_| deviation * random.gaussian() as f32).collect()
            }
        }
    })?)
}
