//! Methods against core's quantizers and against each other.

mod errors;
mod extremes;
mod llama_cpp;
mod products;
mod speed;

use edgeformer_core::Format;

use super::*;

/// Normal deviates: sums of uniform ones from a linear congruence.
fn normal(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}

fn decoded(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / format.block_bytes() * format.block_len()];
    format.dequantize(bytes, &mut values).unwrap();
    values
}

/// Normal deviates, the same with heavy tails, and with a few columns far larger.
fn matrices(len: usize, cols: usize) -> [(&'static str, Vec<f32>); 3] {
    let heavy =
        normal(len, 2).iter().zip(normal(len, 3)).map(|(a, b)| a / (b.abs() + 0.3)).collect();
    let mut outliers = normal(len, 4);
    for (i, value) in outliers.iter_mut().enumerate() {
        *value *= if i % cols % 97 == 5 { 0.2 } else { 0.02 };
    }
    [("normal", normal(len, 1)), ("heavy", heavy), ("outliers", outliers)]
}
