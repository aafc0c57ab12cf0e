use edgeformer::attention_conversion::{Conversion, MlaOptions};
use edgeformer_models::checkpoint::Checkpoint;

use crate::{Error, Result};

/// What a model is converted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Rotated columns and rank of latents, largest first.
    pub latents: Vec<Latents>,
    /// Key-value heads, most first.
    pub groups: Vec<usize>,
}

/// A size of latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latents {
    pub rope_dims: usize,
    pub rank: usize,
    /// The rank that holds all of keys and values beside those columns.
    pub full_rank: usize,
}

/// Quarters of the full rank.
const QUARTERS: [usize; 4] = [4, 3, 2, 1];

impl Sizes {
    /// All rotated columns and a quarter of them, with ranks from full to a quarter; groups of half
    /// the key-value heads and fewer.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let all = converted_size(checkpoint, None, "rope.dimension_count")?;
        let quarter = (all / 8 * 2).max(2);
        let mut latents = Vec::new();
        for rope_dims in [all, quarter] {
            let full_rank = converted_size(checkpoint, Some(rope_dims), "attention.kv_lora_rank")?;
            let ranks = QUARTERS.map(|quarters| (full_rank * quarters / 4).max(1));
            latents.extend(ranks.map(|rank| Latents { rope_dims, rank, full_rank }));
        }
        Ok(Self { latents, groups: groups(key_value_heads(checkpoint)?) })
    }
}

/// Divisors of the number of heads but itself, largest first.
fn groups(heads: usize) -> Vec<usize> {
    (1..heads).rev().filter(|groups| heads.is_multiple_of(*groups)).collect()
}

/// A size that the full conversion chooses.
fn converted_size(checkpoint: &Checkpoint, rope_dims: Option<usize>, key: &str) -> Result<usize> {
    let conversion = Conversion::Mla(MlaOptions { rope_dims, ..MlaOptions::default() });
    let (converted, _) = conversion.apply(checkpoint, None)?;
    size(&converted, &format!("deepseek2.{key}"))
}

fn key_value_heads(checkpoint: &Checkpoint) -> Result<usize> {
    let architecture = checkpoint.architecture().unwrap_or_default();
    let of = |key: &str| size(checkpoint, &format!("{architecture}.attention.{key}"));
    of("head_count_kv").or_else(|_| of("head_count"))
}

fn size(checkpoint: &Checkpoint, key: &str) -> Result<usize> {
    let value = checkpoint.get(key).and_then(|value| value.as_integer());
    let missing = || Error::Request(format!("the model does not state {key}: convert it anew"));
    value.and_then(|value| usize::try_from(value).ok()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn groups_divide_the_heads_and_are_fewer() {
        assert_eq!(groups(8), [4, 2, 1]);
        assert_eq!(groups(6), [3, 2, 1]);
        assert!(groups(1).is_empty());
    }

    #[test]
    fn ranks_go_from_full_to_a_quarter() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny");
        let model = Checkpoint::open(&assets.join("tiny-shakespeare.gguf")).unwrap();
        let sizes = Sizes::of(&model).unwrap();
        let [first, .., last] = sizes.latents.as_slice() else { panic!("{sizes:?}") };
        assert_eq!(first.rank, first.full_rank);
        assert_eq!(last.rank, last.full_rank / 4);
        assert_eq!(last.rope_dims, first.rope_dims / 4);
        assert_eq!(sizes.latents.len(), 8);
    }
}
