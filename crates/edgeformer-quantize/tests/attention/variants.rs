//! A llama with what other models of ordinary attention have.

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

/// The model, and the same with biases, with pairs of half a head apart, with scaled rotations, and
/// with columns that are not rotated.
pub fn variants(plain: &Checkpoint) -> Vec<(&'static str, Checkpoint)> {
    let biased = with_biases(plain.clone());
    let half = number(plain, "llama.rope.dimension_count") / 2;
    let mut partly = plain.clone();
    partly.set("llama.rope.dimension_count", half);
    let mut yarn = plain.clone();
    yarn.set("llama.rope.scaling.type", "yarn");
    yarn.set("llama.rope.scaling.factor", 4.0f32);
    yarn.set("llama.rope.scaling.original_context_length", 64u32);
    let mut divided = plain.clone();
    let divisors: Vec<f32> = (0..half).map(|pair| 1.0 + pair as f32).collect();
    let divisors = Tensor::from_f32([half as usize], &divisors).unwrap();
    divided.tensors.push(LazyTensor::ready("rope_freqs.weight", divisors));
    vec![
        ("plain", plain.clone()),
        ("biases", biased.clone()),
        ("halves", renamed(biased, "qwen2")),
        ("partly rotated", partly),
        ("yarn", yarn),
        ("divisors", divided),
    ]
}

/// With keys of another architecture.
pub fn renamed(mut model: Checkpoint, architecture: &str) -> Checkpoint {
    for (key, _) in &mut model.metadata {
        if let Some(rest) = key.strip_prefix("llama.") {
            *key = format!("{architecture}.{rest}");
        }
    }
    model.set("general.architecture", architecture.to_owned());
    model
}

fn with_biases(mut model: Checkpoint) -> Checkpoint {
    for layer in 0..number(&model, "llama.block_count") {
        for part in ["attn_q", "attn_k", "attn_v"] {
            let weight = model.tensor(&format!("blk.{layer}.{part}.weight")).unwrap();
            let rows = weight.shape()[0];
            let values: Vec<f32> = (0..rows).map(|row| (row as f32 * 1.7).sin() * 0.3).collect();
            let bias = Tensor::from_f32([rows], &values).unwrap();
            model.tensors.push(LazyTensor::ready(format!("blk.{layer}.{part}.bias"), bias));
        }
    }
    model
}

pub fn number(model: &Checkpoint, key: &str) -> u32 {
    model.get(key).unwrap().as_integer().unwrap().try_into().unwrap()
}
