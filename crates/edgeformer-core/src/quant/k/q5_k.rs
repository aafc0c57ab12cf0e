use super::scales;
use super::search::Asymmetric;
use crate::quant::bits::{pack, unpack};
use crate::quant::block::{Block, Shared};

/// 256 codes of 5 bits in groups of 32, with 6-bit scales and minima.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale of scales, f16 |
/// | 2..4 | scale of minima, f16 |
/// | 4..16 | scales and minima of the groups, see [`Q5K::scales_and_mins`] |
/// | 16..48 | highest bits of the codes: eight in a byte, 32 elements apart |
/// | 48..176 | low bits: per 64 elements 32 bytes, two codes in a byte 32 elements apart |
#[derive(Debug)]
pub struct Q5K;

const SEARCH: Asymmetric =
    Asymmetric { levels: 31, first: -0.5, steps: 15, cost: |error| error * error };

impl Q5K {
    /// Takes the eight scales and the eight minima, 6 bits each, out of a block: as in
    /// [`Q4K::scales_and_mins`](super::Q4K::scales_and_mins).
    pub fn scales_and_mins(bytes: &[u8; 176]) -> ([u8; 8], [u8; 8]) {
        scales::unpack(scales::packed(header(bytes)))
    }
}

impl Block<256, 176, 8> for Q5K {
    fn codes(bytes: &[u8; 176]) -> [i8; 256] {
        let mut low = [0; 256];
        let mut high = [0; 256];
        unpack::<4, 32>(&bytes[48..], &mut low);
        unpack::<1, 32>(&bytes[16..48], &mut high);
        std::array::from_fn(|i| (low[i] | high[i] << 4).cast_signed())
    }

    fn shared(bytes: &[u8; 176]) -> Shared<8> {
        scales::take_shared(header(bytes))
    }

    fn assemble(shared: &Shared<8>, codes: &[i8; 256], bytes: &mut [u8; 176]) {
        let (header, packed) = bytes.split_first_chunk_mut().expect("176 bytes are more than 16");
        scales::put_shared(shared, header);
        let codes = codes.map(i8::cast_unsigned);
        let (high, low) = packed.split_at_mut(32);
        pack::<1, 32>(&codes.map(|code| code >> 4), high);
        pack::<4, 32>(&codes, low);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 176]) {
        let (shared, codes) = scales::encode(values, &SEARCH);
        Self::assemble(&shared, &codes, bytes);
    }
}

fn header(bytes: &[u8; 176]) -> &[u8; 16] {
    bytes.first_chunk().expect("176 bytes are more than 16")
}
