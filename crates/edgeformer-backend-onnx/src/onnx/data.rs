//! Constants: as the model's file holds them, or made from that when a sink asks.

use std::borrow::Cow;

use bytes::Bytes;
use edgeformer_core::{Format, Tensor};
use half::f16;

use super::Element;

/// A constant tensor.
#[derive(Debug, Clone)]
pub struct Initializer {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Data,
}

/// Where the elements of a constant are.
#[derive(Debug, Clone)]
pub enum Data {
    /// In memory that the model shares: a slice of a mapped file as a rule.
    Shared(Bytes),
    /// Made from a tensor of the model when it is asked for, so that only one is held at a time.
    Made(Tensor, Form),
}

/// What is made of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Its values as `float`.
    Floats,
    /// The codes of its blocks as `MatMulNBits` has them: element `i` before element `i + 1`, of
    /// 4-bit codes the first in the low half of a byte, and the code for zero in the middle.
    Codes,
    /// The scales of its blocks as `float`.
    Scales,
}

impl Initializer {
    /// Its bytes: borrowed where the model's file has them so.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if let Data::Shared(bytes) = &self.data {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = vec![0; self.byte_len()];
        self.fill(&mut bytes);
        Cow::Owned(bytes)
    }

    /// Writes its bytes, as many as [`byte_len`](Self::byte_len) says.
    pub fn fill(&self, to: &mut [u8]) {
        match &self.data {
            Data::Shared(bytes) => to.copy_from_slice(bytes),
            Data::Made(tensor, form) => form.fill(tensor, to),
        }
    }

    /// Bytes that it takes.
    pub fn byte_len(&self) -> usize {
        self.element.bytes() * self.shape.iter().product::<usize>()
    }

    /// Whether it is a matrix of floats that the file holds in another format.
    pub fn is_made_matrix(&self) -> bool {
        self.shape.len() == 2 && matches!(self.data, Data::Made(_, Form::Floats))
    }

    /// Whether the model's memory serves as it is: shared, and at an address that a kernel can
    /// read elements from.
    pub fn aliases(&self) -> bool {
        let aligned =
            |bytes: &Bytes| (bytes.as_ptr() as usize).is_multiple_of(self.element.bytes());
        matches!(&self.data, Data::Shared(bytes) if aligned(bytes))
    }
}

impl Data {
    /// The same for the same elements: where they come from, and what is made of them.
    pub fn identity(&self) -> (usize, usize, Option<Form>) {
        match self {
            Self::Shared(bytes) => (bytes.as_ptr() as usize, bytes.len(), None),
            Self::Made(tensor, form) => {
                (tensor.bytes().as_ptr() as usize, tensor.bytes().len(), Some(*form))
            }
        }
    }
}

impl Form {
    fn fill(self, tensor: &Tensor, to: &mut [u8]) {
        match self {
            Self::Floats => floats(tensor, to),
            Self::Scales => {
                for (scale, block) in to.chunks_exact_mut(4).zip(blocks(tensor)) {
                    scale.copy_from_slice(&scale_of(block).to_le_bytes());
                }
            }
            Self::Codes if tensor.format() == Format::Q8_0 => {
                for (codes, block) in to.chunks_exact_mut(32).zip(blocks(tensor)) {
                    codes.copy_from_slice(&codes8(block));
                }
            }
            Self::Codes => {
                for (codes, block) in to.chunks_exact_mut(16).zip(blocks(tensor)) {
                    codes.copy_from_slice(&codes4(block));
                }
            }
        }
    }
}

/// Decodes a tensor a few blocks at a time, so that nothing of its size is held twice.
fn floats(tensor: &Tensor, to: &mut [u8]) {
    let format = tensor.format();
    let mut values = vec![0.0f32; format.block_len() * 256];
    let blocks = tensor.bytes().chunks(format.block_bytes() * 256);
    for (blocks, to) in blocks.zip(to.chunks_mut(4 * values.len())) {
        let values = &mut values[..to.len() / 4];
        format.dequantize(blocks, values).expect("chunks are whole blocks");
        to.copy_from_slice(bytemuck::cast_slice(values));
    }
}

/// Whether the format's blocks are what `MatMulNBits` multiplies: its bits.
pub(crate) fn bits(format: Format) -> Option<i64> {
    match format {
        Format::Q4_0 => Some(4),
        Format::Q8_0 => Some(8),
        _ => None,
    }
}

fn blocks(tensor: &Tensor) -> impl Iterator<Item = &[u8]> {
    tensor.bytes().chunks_exact(tensor.format().block_bytes())
}

fn scale_of(block: &[u8]) -> f32 {
    f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// GGUF puts element `i` beside `i + 16`; here neighbours share a byte. Both add 8.
fn codes4(block: &[u8]) -> [u8; 16] {
    let code = |i: usize| if i < 16 { block[2 + i] & 15 } else { block[2 + i - 16] >> 4 };
    std::array::from_fn(|byte| code(2 * byte) | code(2 * byte + 1) << 4)
}

/// GGUF's codes are signed; here 128 stands for zero.
fn codes8(block: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| block[2 + i] ^ 0x80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `MatMulNBits` reads: `(code - middle) * scale`.
    fn decoded(tensor: &Tensor, bits: i64) -> Vec<f32> {
        let made = |form: Form, bytes: usize| {
            let mut made = vec![0; bytes];
            form.fill(tensor, &mut made);
            made
        };
        let codes = made(Form::Codes, tensor.elements() * bits as usize / 8);
        let scales = made(Form::Scales, tensor.elements() / 8);
        let scale = |i: usize| f32::from_le_bytes(scales[4 * (i / 32)..][..4].try_into().unwrap());
        let code = |i: usize| match bits {
            8 => i32::from(codes[i]) - 128,
            _ => i32::from(codes[i / 2] >> (4 * (i % 2)) & 15) - 8,
        };
        (0..tensor.elements()).map(|i| code(i) as f32 * scale(i)).collect()
    }

    proptest! {
        #[test]
        fn repacked_blocks_have_the_same_values(values in prop::collection::vec(-4f32..4.0, 96)) {
            for format in [Format::Q4_0, Format::Q8_0] {
                let tensor = Tensor::quantize(format, [1, 96], &values).unwrap();
                prop_assert_eq!(decoded(&tensor, bits(format).unwrap()), tensor.to_f32());
            }
        }
    }

    #[test]
    fn floats_of_a_file_alias_it_where_they_are_aligned() {
        let bytes = Bytes::from(vec![0u8; 32]);
        let start = bytes.as_ptr().align_offset(4);
        let at = |from: usize| Initializer {
            name: "w".into(),
            element: Element::F32,
            shape: vec![2],
            data: Data::Shared(bytes.slice(from..from + 8)),
        };
        assert!(at(start).aliases());
        assert!(!at(start + 1).aliases());
        assert_eq!(at(start + 1).bytes().len(), at(start).byte_len());
    }
}
