//! Numbers to test with, from a seed.

use edgeformer_core::Format;
use half::f16;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Sample(pub u64);

impl Sample {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between -1 and 1.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    pub fn halves(&mut self, count: usize) -> Vec<f16> {
        (0..count).map(|_| f16::from_f32(self.float())).collect()
    }

    /// Blocks of any codes and any scales between -1 and 1.
    pub fn blocks(&mut self, format: Format, elements: usize) -> Vec<u8> {
        let bytes = elements / format.block_len() * format.block_bytes();
        let random = (0..bytes).map(|_| self.bits() as u8).collect();
        with_scales(format, random, || self.float())
    }
}

/// Overwrites the f16 numbers of blocks.
pub(super) fn with_scales(
    format: Format,
    mut bytes: Vec<u8>,
    mut scale: impl FnMut() -> f32,
) -> Vec<u8> {
    let offsets: &[usize] = match format {
        Format::F32 | Format::F16 | Format::BF16 => panic!("{format} has no scales"),
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
        _ => &[0],
    };
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for &offset in offsets {
            let half = f16::from_f32(scale()).to_le_bytes();
            block[offset..offset + 2].copy_from_slice(&half);
        }
    }
    bytes
}
