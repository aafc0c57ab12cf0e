//! Weights from a seed, made with few instructions: they are made under an emulator.

use bytes::Bytes;
use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Format, Graph, Result, Tensor, Weight, Weights};

use super::graphs::TABLE;

/// Rows that are made; the others repeat them. What a kernel executes does not depend on values.
const ROWS: usize = 4;

/// Weights for a graph: its matrices in `format`, or in Q8_0 where their rows are no blocks of
/// it; vectors and the table of tokens in F32.
///
/// # Errors
/// If a matrix has rows that no block fits.
pub(super) fn weights(graph: &Graph, format: Format) -> Result<Weights> {
    let mut weights = Weights::default();
    for info in &graph.weights {
        weights.insert(info.name.clone(), Weight::whole(tensor(info, format)?));
    }
    Ok(weights)
}

fn tensor(info: &WeightInfo, format: Format) -> Result<Tensor> {
    let width = info.shape.last().copied().unwrap_or(1);
    let format = match info.shape.len() {
        1 => Format::F32,
        _ if info.name == TABLE => Format::F32,
        _ if width.is_multiple_of(format.block_len()) => format,
        _ => Format::Q8_0,
    };
    // A prime, so that no two rows are alike where rows are as long as a power of two.
    let value = |index: usize| ((index * 7919) % 1021) as f32 / 510.0 - 1.0;
    let scale = (width as f32).sqrt().recip();
    let values: Vec<f32> = match info.shape.as_slice() {
        [_] => (0..width).map(|index| 1.0 + 0.1 * value(index)).collect(),
        _ => (0..ROWS * width).map(|index| scale * value(index)).collect(),
    };
    let mut bytes = vec![0; values.len() / format.block_len() * format.block_bytes()];
    format.quantize(&values, &mut bytes)?;
    let needed = format.tensor_bytes(&info.shape)?;
    let bytes: Vec<u8> = bytes.iter().copied().cycle().take(needed).collect();
    Tensor::new(format, info.shape.clone(), Bytes::from(bytes))
}
