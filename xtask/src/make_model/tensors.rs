use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use edgeformer_core::Format;
use indicatif::ProgressBar;

use super::random::Random;
use super::shapes::{Attention, Shape};

/// Elements that a thread makes at a time.
const PIECE: usize = 1 << 18;

/// A tensor to be made.
#[derive(Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: Kind,
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The table of the vocabulary, which is also the output matrix.
    Vocabulary,
    /// Values of attention and the way down of the feed-forward network: llama.cpp's mixtures
    /// give them more bits in some layers.
    Delicate { layer: usize, layers: usize },
    /// Any other matrix.
    Matrix,
    /// Norm weights: ones.
    Norm,
    /// Biases: small.
    Bias,
}

/// The tensors of a model, in the order of its file.
pub fn list(shape: &Shape) -> Vec<Tensor> {
    let width = shape.width;
    let mut tensors = vec![
        tensor("token_embd.weight", &[shape.vocabulary, width], Kind::Vocabulary),
        tensor("output_norm.weight", &[width], Kind::Norm),
    ];
    for layer in 0..shape.layers {
        let delicate = Kind::Delicate { layer, layers: shape.layers };
        let mut add = |name: &str, shape: &[usize], kind| {
            tensors.push(tensor(&format!("blk.{layer}.{name}"), shape, kind))
        };
        add("attn_norm.weight", &[width], Kind::Norm);
        match shape.attention {
            Attention::Grouped { kv_heads, head, bias } => {
                let (q, kv) = (shape.heads * head, kv_heads * head);
                for (name, out, kind) in [
                    ("attn_q", q, Kind::Matrix),
                    ("attn_k", kv, Kind::Matrix),
                    ("attn_v", kv, delicate),
                ] {
                    add(&format!("{name}.weight"), &[out, width], kind);
                    if bias {
                        add(&format!("{name}.bias"), &[out], Kind::Bias);
                    }
                }
                add("attn_output.weight", &[width, q], Kind::Matrix);
            }
            Attention::Latent { rank, rope, nope, value } => {
                add("attn_q.weight", &[shape.heads * (nope + rope), width], Kind::Matrix);
                add("attn_kv_a_mqa.weight", &[rank + rope, width], Kind::Matrix);
                add("attn_kv_a_norm.weight", &[rank], Kind::Norm);
                add("attn_k_b.weight", &[shape.heads, rank, nope], Kind::Matrix);
                add("attn_v_b.weight", &[shape.heads, value, rank], Kind::Matrix);
                add("attn_output.weight", &[width, shape.heads * value], Kind::Matrix);
            }
        }
        add("ffn_norm.weight", &[width], Kind::Norm);
        add("ffn_gate.weight", &[shape.ffn, width], Kind::Matrix);
        add("ffn_up.weight", &[shape.ffn, width], Kind::Matrix);
        add("ffn_down.weight", &[width, shape.ffn], delicate);
    }
    tensors
}

fn tensor(name: &str, shape: &[usize], kind: Kind) -> Tensor {
    Tensor { name: name.into(), shape: shape.to_vec(), kind }
}

impl Tensor {
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Elements of a row.
    pub fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Makes and writes it, piece by piece, all cores busy. The same seed makes the same bytes on
    /// any number of cores.
    pub fn write(
        &self,
        format: Format,
        seed: u64,
        progress: &ProgressBar,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let piece = PIECE.next_multiple_of(self.row());
        let starts: Vec<usize> = (0..self.elements()).step_by(piece).collect();
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for starts in starts.chunks(threads) {
            let make = |&start: &usize| {
                self.piece(format, seed, start, piece.min(self.elements() - start))
            };
            let pieces: Vec<Vec<u8>> = thread::scope(|scope| {
                let handles: Vec<_> =
                    starts.iter().map(|start| scope.spawn(move || make(start))).collect();
                handles
                    .into_iter()
                    .map(|handle| handle.join().expect("making a piece does not panic"))
                    .collect()
            });
            for bytes in &pieces {
                out.write_all(bytes)?;
            }
            progress.inc((piece * pieces.len()) as u64);
        }
        Ok(())
    }

    fn piece(&self, format: Format, seed: u64, start: usize, count: usize) -> Vec<u8> {
        let mut random = Random::at(seed, start as u64);
        // Keeps the variance of activations through a matrix.
        let scale = (1.0 / self.row() as f32).sqrt();
        let values: Vec<f32> = match self.kind {
            Kind::Norm => vec![1.0; count],
            Kind::Bias => (0..count).map(|_| random.normal() * 0.02).collect(),
            _ => (0..count).map(|_| random.normal() * scale).collect(),
        };
        let mut bytes = vec![0; count / format.block_len() * format.block_bytes()];
        format.quantize(&values, &mut bytes).expect("pieces are whole rows, rows are whole blocks");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_bytes_again() {
        let matrix = tensor("m", &[600, 512], Kind::Matrix);
        let write = |seed| {
            let mut bytes = Vec::new();
            matrix.write(Format::Q4_0, seed, &ProgressBar::hidden(), &mut bytes).unwrap();
            bytes
        };
        assert_eq!(write(1).len(), Format::Q4_0.tensor_bytes(&[600, 512]).unwrap());
        assert_eq!(write(1), write(1));
        assert_ne!(write(1), write(2));
    }
}
