use super::scales;
use super::search::Asymmetric;
use crate::quant::bits::{pack, unpack};
use crate::quant::block::{Block, Shared};

/// 256 codes of 4 bits in groups of 32, with 6-bit scales and minima.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale of scales, f16 |
/// | 2..4 | scale of minima, f16 |
/// | 4..16 | scales and minima of the groups, see [`Q4K::scales_and_mins`] |
/// | 16..144 | codes: per 64 elements 32 bytes, two codes in a byte 32 elements apart |
#[derive(Debug)]
pub struct Q4K;

const SEARCH: Asymmetric =
    Asymmetric { levels: 15, first: -1.0, steps: 20, cost: |error| error * error };

impl Q4K {
    /// Takes the eight scales and the eight minima, 6 bits each, out of a block.
    ///
    /// The first four of each are the low six bits of bytes 4..8 and 8..12. The last four have
    /// their low four bits in bytes 12..16 (scale in the low half, minimum in the high half) and
    /// their high two bits on top of bytes 4..8 and 8..12.
    pub fn scales_and_mins(bytes: &[u8; 144]) -> ([u8; 8], [u8; 8]) {
        scales::unpack(scales::packed(header(bytes)))
    }
}

impl Block<256, 144, 8> for Q4K {
    fn codes(bytes: &[u8; 144]) -> [i8; 256] {
        let mut codes = [0; 256];
        unpack::<4, 32>(&bytes[16..], &mut codes);
        codes.map(u8::cast_signed)
    }

    fn shared(bytes: &[u8; 144]) -> Shared<8> {
        scales::take_shared(header(bytes))
    }

    fn assemble(shared: &Shared<8>, codes: &[i8; 256], bytes: &mut [u8; 144]) {
        let (header, packed) = bytes.split_first_chunk_mut().expect("144 bytes are more than 16");
        scales::put_shared(shared, header);
        pack::<4, 32>(&codes.map(i8::cast_unsigned), packed);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 144]) {
        let (shared, codes) = scales::encode(values, &SEARCH);
        Self::assemble(&shared, &codes, bytes);
    }
}

fn header(bytes: &[u8; 144]) -> &[u8; 16] {
    bytes.first_chunk().expect("144 bytes are more than 16")
}
