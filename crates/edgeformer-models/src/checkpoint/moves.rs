//! What lies elsewhere in GGUF than in Hugging Face's folders, and the way back: each move has its
//! exact inverse.

use bytes::Bytes;
use edgeformer_core::graph::RopeLayout;
use edgeformer_core::{Format, Result, Tensor};

use crate::hyper::{Decoder, Family, Hyper, Latent};

/// What becomes of a weight on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Nothing.
    Keep,
    /// Rows that rotate together become neighbours.
    Pairs(Pairs),
    /// 1 is added. Gemma's checkpoints hold norm weights as `w - 1`, llama.cpp's files as `w`, in
    /// f32.
    ///
    /// The way back takes the 1 off again and has the same bits where `w - 1` was bf16 of at
    /// least 2⁻¹⁶ in size, or f16 of at least 2⁻¹³: all that released models hold. An f32 loses
    /// the bits that a sum near 1 has no room for, at most 2⁻²⁴ of it.
    AddOne,
}

/// Heads of `height` rows, of which `dims` from `skip` on are rotated: in pairs half of `dims`
/// apart at Hugging Face, in neighbouring pairs in GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pairs {
    pub height: usize,
    pub skip: usize,
    pub dims: usize,
}

impl Move {
    /// What becomes of a weight of a Hugging Face model.
    pub fn of(hyper: &Hyper, name: &str) -> Self {
        let Hyper::Decoder(decoder) = hyper else { return Self::Keep };
        let stem = name.trim_end_matches(".weight").trim_end_matches(".bias");
        let stem = stem.rsplit('.').next().unwrap_or(stem);
        match decoder.family {
            Family::Gemma2 | Family::Gemma3 if stem.ends_with("norm") => Self::AddOne,
            Family::Llama | Family::Mistral if matches!(stem, "attn_q" | "attn_k") => {
                let (height, dims) = (decoder.attention.key_dim, rotated(decoder));
                Self::Pairs(Pairs { height, skip: 0, dims })
            }
            Family::DeepseekV2 | Family::DeepseekV3 => latent_pairs(decoder, stem),
            _ => Self::Keep,
        }
    }

    /// The weight as GGUF holds it.
    pub fn to_gguf(self, tensor: Tensor) -> Result<Tensor> {
        match self {
            Self::Keep => Ok(tensor),
            Self::Pairs(pairs) => gather(&tensor, |row| pairs.apart(row)),
            Self::AddOne => added(&tensor, 1.0),
        }
    }

    /// The weight as Hugging Face holds it.
    pub fn to_hf(self, tensor: Tensor) -> Result<Tensor> {
        match self {
            Self::Keep => Ok(tensor),
            Self::Pairs(pairs) => gather(&tensor, |row| pairs.together(row)),
            Self::AddOne => added(&tensor, -1.0),
        }
    }

    /// The format that the weight has in GGUF.
    pub fn format(self, format: Format) -> Format {
        if self == Self::AddOne { Format::F32 } else { format }
    }
}

fn rotated(decoder: &Decoder) -> usize {
    decoder.rotary.as_ref().map_or(0, |rotary| rotary.dims)
}

/// DeepSeek's own layout is GGUF's, but for checkpoints with `rope_interleave: false`.
fn latent_pairs(decoder: &Decoder, stem: &str) -> Move {
    let halves = decoder.rotary.as_ref().is_some_and(|rotary| rotary.layout == RopeLayout::Halves);
    let (Some(latent), true) = (decoder.latent, halves) else { return Move::Keep };
    let skip = match stem {
        "attn_q" | "attn_q_b" => latent.nope_dim,
        "attn_kv_a_mqa" => latent.rank,
        _ => return Move::Keep,
    };
    Move::Pairs(Pairs { height: skip + latent.rope_dim, skip, dims: latent.rope_dim })
}

impl Pairs {
    /// Where Hugging Face has the row that GGUF has at `row`.
    fn apart(self, row: usize) -> usize {
        self.moved(row, |at| at % 2 * (self.dims / 2) + at / 2)
    }

    /// Where GGUF has the row that Hugging Face has at `row`.
    fn together(self, row: usize) -> usize {
        self.moved(row, |at| at % (self.dims / 2) * 2 + at / (self.dims / 2))
    }

    fn moved(self, row: usize, place: impl Fn(usize) -> usize) -> usize {
        let (head, within) = (row / self.height * self.height, row % self.height);
        match within.checked_sub(self.skip).filter(|&at| at < self.dims) {
            Some(at) => head + self.skip + place(at),
            None => row,
        }
    }
}

/// A tensor of the rows that `source` names, whatever their format.
fn gather(tensor: &Tensor, source: impl Fn(usize) -> usize) -> Result<Tensor> {
    let rows = tensor.shape()[0];
    let size = tensor.bytes().len() / rows;
    let mut bytes = Vec::with_capacity(tensor.bytes().len());
    for row in 0..rows {
        let from = source(row) * size;
        bytes.extend_from_slice(&tensor.bytes()[from..from + size]);
    }
    Tensor::new(tensor.format(), tensor.shape(), bytes.into())
}

fn added(tensor: &Tensor, number: f32) -> Result<Tensor> {
    let values: Vec<f32> = tensor.to_f32().into_iter().map(|value| value + number).collect();
    Tensor::from_f32(tensor.shape(), &values)
}

/// The two halves of a latent up-projection `[heads * (nope + value), rank]` as llama.cpp holds
/// them: keys transposed, `[heads, rank, nope]`, values `[heads, value, rank]`. Floats only.
pub(crate) fn split_up(tensor: &Tensor, latent: &Latent, keys: bool) -> Result<Tensor> {
    let &Latent { rank, nope_dim, value_dim, .. } = latent;
    let size = tensor.format().block_bytes();
    let head_bytes = (nope_dim + value_dim) * rank * size;
    let heads = tensor.bytes().chunks_exact(head_bytes);
    let count = heads.len();
    let mut bytes = Vec::with_capacity(tensor.bytes().len());
    for head in heads {
        let (key, value) = head.split_at(nope_dim * rank * size);
        match keys {
            true => transpose_into(key, nope_dim, rank, size, &mut bytes),
            false => bytes.extend_from_slice(value),
        }
    }
    let shape = if keys { [count, rank, nope_dim] } else { [count, value_dim, rank] };
    Tensor::new(tensor.format(), shape, bytes.into())
}

/// [`split_up`] undone.
pub(super) fn join_up(key: &Tensor, value: &Tensor, latent: &Latent) -> Result<Tensor> {
    let &Latent { rank, nope_dim, value_dim, .. } = latent;
    let size = key.format().block_bytes();
    let heads = key.shape()[0];
    let keys = key.bytes().chunks_exact(nope_dim * rank * size);
    let values = value.bytes().chunks_exact(value_dim * rank * size);
    let mut bytes = Vec::with_capacity(key.bytes().len() + value.bytes().len());
    for (key, value) in keys.zip(values) {
        transpose_into(key, rank, nope_dim, size, &mut bytes);
        bytes.extend_from_slice(value);
    }
    Tensor::new(key.format(), [heads * (nope_dim + value_dim), rank], bytes.into())
}

fn transpose_into(matrix: &[u8], rows: usize, columns: usize, size: usize, out: &mut Vec<u8>) {
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            out.extend_from_slice(&matrix[at..at + size]);
        }
    }
}

/// Tensors one after the other: `[parts, ...]` as files stack experts.
pub(super) fn concatenated(parts: &[Tensor], shape: &[usize]) -> Result<Tensor> {
    if let [whole] = parts {
        return whole.reshape(shape);
    }
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.bytes().len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(part.bytes()));
    Tensor::new(parts[0].format(), shape, Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32).collect();
        Tensor::from_f32(shape, &values).expect("fits")
    }

    /// llama.cpp's `permute`: `reshape(heads, 2, d / 2, …).swapaxes(1, 2)`.
    #[test]
    fn halves_become_neighbours() {
        let pairs = Move::Pairs(Pairs { height: 6, skip: 0, dims: 6 });
        let moved = pairs.to_gguf(numbered(&[12])).expect("moves").to_f32();
        assert_eq!(moved, [0., 3., 1., 4., 2., 5., 6., 9., 7., 10., 8., 11.]);
    }

    #[test]
    fn a_norm_of_bf16_comes_back_bit_for_bit() {
        let values: Vec<f32> = (0..=u16::MAX)
            .map(|bits| half::bf16::from_bits(bits).to_f32())
            .filter(|value| (2f32.powi(-16)..256.0).contains(&value.abs()))
            .collect();
        let before = Tensor::from_f32([values.len()], &values).expect("fits");
        let there = Move::AddOne.to_gguf(before.clone()).expect("adds");
        assert_eq!(Move::AddOne.to_hf(there).expect("subtracts").bytes(), before.bytes());
    }

    proptest! {
        #[test]
        fn pairs_come_apart_again(heads in 1usize..4, skip in 0usize..4, half in 1usize..5, rest in 0usize..3, columns in 1usize..4) {
            let pairs = Pairs { height: skip + 2 * half + rest, skip, dims: 2 * half };
            let rows = heads * pairs.height;
            for row in 0..rows {
                prop_assert_eq!(pairs.apart(pairs.together(row)), row);
            }
            let before = numbered(&[rows, columns]);
            let moved = Move::Pairs(pairs).to_gguf(before.clone()).expect("moves");
            let back = Move::Pairs(pairs).to_hf(moved).expect("moves");
            prop_assert_eq!(back.bytes(), before.bytes());
        }

        #[test]
        fn up_projections_come_together_again(heads in 1usize..4, rank in 1usize..5, nope_dim in 1usize..5, value_dim in 1usize..5) {
            let latent = Latent {
                query_rank: None, rank, nope_dim, rope_dim: 2, value_dim,
                normed: true, query_bias: false, norm_eps: 1e-6, split: false,
            };
            let before = numbered(&[heads * (nope_dim + value_dim), rank]);
            let key = split_up(&before, &latent, true).expect("splits");
            let value = split_up(&before, &latent, false).expect("splits");
            prop_assert_eq!(key.shape(), [heads, rank, nope_dim]);
            prop_assert_eq!(key.to_f32()[nope_dim.min(2) - 1], before.to_f32()[(nope_dim.min(2) - 1) * rank]);
            let back = join_up(&key, &value, &latent).expect("joins");
            prop_assert_eq!((back.shape(), back.bytes()), (before.shape(), before.bytes()));
        }
    }
}
