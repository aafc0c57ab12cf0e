use super::{best_scale, code_of, look_up, nearest_code};
use crate::quant::bits::{half_at, inverse, nearest, pack, put_half, unpack};
use crate::quant::block::{Block, Shared, extreme};
use crate::quant::k::scales;

/// 256 codes of 4 bits that look up [`CODE_BOOK`](super::CODE_BOOK), in groups of 32 with 6-bit
/// scales.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale of scales, f16 |
/// | 2..8 | scales of the groups, see [`Iq4Xs::scales`] |
/// | 8..136 | codes: per 32 elements 16 bytes, two codes in a byte 16 elements apart |
#[derive(Debug)]
pub struct Iq4Xs;

impl Iq4Xs {
    /// Takes the eight scales, in -32..32, out of a block.
    ///
    /// Scales are stored plus 32: high two bits in bytes 2..4, four in a byte, low four bits in
    /// bytes 4..8, two in a byte.
    pub fn scales(bytes: &[u8; 136]) -> [i8; 8] {
        let mut high = [0; 8];
        let mut low = [0; 8];
        unpack::<2, 1>(&bytes[2..4], &mut high);
        unpack::<4, 1>(&bytes[4..8], &mut low);
        std::array::from_fn(|i| (low[i] | high[i] << 4).cast_signed() - 32)
    }

    fn put_scales(scales: &[i8; 8], bytes: &mut [u8; 136]) {
        let stored = scales.map(|scale| (scale + 32).cast_unsigned());
        pack::<2, 1>(&stored.map(|scale| scale >> 4), &mut bytes[2..4]);
        pack::<4, 1>(&stored, &mut bytes[4..8]);
    }
}

impl Block<256, 136, 8> for Iq4Xs {
    fn codes(bytes: &[u8; 136]) -> [i8; 256] {
        let mut codes = [0; 256];
        unpack::<4, 16>(&bytes[8..], &mut codes);
        codes.map(look_up)
    }

    fn shared(bytes: &[u8; 136]) -> Shared<8> {
        Shared::symmetric(half_at(bytes, 0), Self::scales(bytes))
    }

    fn assemble(shared: &Shared<8>, codes: &[i8; 256], bytes: &mut [u8; 136]) {
        put_half(bytes, 0, shared.scale);
        Self::put_scales(&shared.scales, bytes);
        pack::<4, 16>(&codes.map(code_of), &mut bytes[8..]);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 136]) {
        let groups = values.as_chunks::<32>().0;
        let ideal: [f32; 8] = std::array::from_fn(|i| best_scale(&groups[i]));
        let shared = scales::shared(extreme(&ideal), -32.0);
        let inverse_shared = inverse(shared);
        let scales = ideal.map(|scale| nearest(scale * inverse_shared, -32.0, 31.0) as i8);
        let shared = Shared::symmetric(shared, scales);
        let inverses = shared.groups().map(|group| inverse(group.scale));
        let code = |i: usize| look_up(nearest_code(values[i] * inverses[i / 32]));
        Self::assemble(&shared, &std::array::from_fn(code), bytes);
    }
}
