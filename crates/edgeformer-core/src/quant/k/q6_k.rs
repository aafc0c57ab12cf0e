use super::{scales, search};
use crate::quant::bits::{half_at, inverse, nearest, pack, put_half, unpack};
use crate::quant::block::{Block, Shared, extreme};

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

    fn shared(bytes: &[u8; 210]) -> Shared<16> {
        Shared::symmetric(half_at(bytes, 208), Self::scales(bytes))
    }

    fn assemble(shared: &Shared<16>, codes: &[i8; 256], bytes: &mut [u8; 210]) {
        put_half(bytes, 208, shared.scale);
        bytes[192..208].copy_from_slice(&shared.scales.map(i8::cast_unsigned));
        let codes = codes.map(|code| (code + 32).cast_unsigned());
        pack::<4, 64>(&codes, &mut bytes[..128]);
        pack::<2, 32>(&codes.map(|code| code >> 4), &mut bytes[128..192]);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 210]) {
        let groups = values.as_chunks::<16>().0;
        let code = |value: f32| nearest(value, -32.0, 31.0);
        let ideal: [f32; 16] =
            std::array::from_fn(|i| search::scale(&groups[i], search::around(32.0), code));
        let shared = scales::shared(extreme(&ideal), -128.0);
        let inverse_shared = inverse(shared);
        let scales = ideal.map(|scale| nearest(scale * inverse_shared, -128.0, 127.0) as i8);
        let shared = Shared::symmetric(shared, scales);
        let inverses = shared.groups().map(|group| inverse(group.scale));
        let codes = std::array::from_fn(|i| code(values[i] * inverses[i / 16]) as i8);
        Self::assemble(&shared, &codes, bytes);
    }
}
