use super::{scales, search};
use crate::quant::bits::{half_at, inverse, nearest, pack, put_half, unpack};
use crate::quant::block::{Block, Group, extreme};

/// 256 codes of 6 bits in -32..32, in groups of 16 with 8-bit scales.
///
/// | bytes | |
/// |---|---|
/// | 0..128 | low bits: per 128 elements 64 bytes, two codes in a byte 64 elements apart |
/// | 128..192 | high bits: per 128 elements 32 bytes, four codes in a byte 32 elements apart |
/// | 192..208 | scales of the groups, i8 |
/// | 208..210 | scale of scales, f16 |
///
/// Codes are stored plus 32.
#[derive(Debug)]
pub struct Q6K;

impl Q6K {
    /// The sixteen scales of a block.
    pub fn scales(bytes: &[u8; 210]) -> [i8; 16] {
        std::array::from_fn(|i| bytes[192 + i].cast_signed())
    }
}

impl Block<256, 210, 16> for Q6K {
    fn codes(bytes: &[u8; 210]) -> [i8; 256] {
        let mut low = [0; 256];
        let mut high = [0; 256];
        unpack::<4, 64>(&bytes[..128], &mut low);
        unpack::<2, 32>(&bytes[128..192], &mut high);
        std::array::from_fn(|i| (low[i] | high[i] << 4).cast_signed() - 32)
    }

    fn groups(bytes: &[u8; 210]) -> [Group; 16] {
        let scale = half_at(bytes, 208);
        Self::scales(bytes).map(|code| Group::symmetric(scale * f32::from(code)))
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 210]) {
        let groups = values.as_chunks::<16>().0;
        let code = |value: f32| nearest(value, -32.0, 31.0);
        let ideal: [f32; 16] =
            std::array::from_fn(|i| search::scale(&groups[i], search::around(32.0), code));
        let shared = scales::shared(extreme(&ideal), -128.0);
        let inverse_shared = inverse(shared);
        put_half(bytes, 208, shared);
        for (byte, scale) in bytes[192..208].iter_mut().zip(ideal) {
            *byte = (nearest(scale * inverse_shared, -128.0, 127.0) as i8).cast_unsigned();
        }
        let inverses = Self::groups(bytes).map(|group| inverse(group.scale));
        let codes: [u8; 256] =
            std::array::from_fn(|i| (code(values[i] * inverses[i / 16]) + 32.0) as u8);
        pack::<4, 64>(&codes, &mut bytes[..128]);
        pack::<2, 32>(&codes.map(|code| code >> 4), &mut bytes[128..192]);
    }
}
