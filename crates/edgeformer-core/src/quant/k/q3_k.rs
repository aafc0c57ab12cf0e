use super::{scales, search};
use crate::quant::bits::{half_at, inverse, nearest, pack, put_half, unpack};
use crate::quant::block::{Block, Group, Shared, extreme};

/// 256 codes of 3 bits in -4..4, in groups of 16 with 6-bit scales.
///
/// | bytes | |
/// |---|---|
/// | 0..32 | highest bits of the codes: eight in a byte, 32 elements apart |
/// | 32..96 | low bits: per 128 elements 32 bytes, four codes in a byte 32 elements apart |
/// | 96..108 | scales of the groups, see [`Q3K::scales`] |
/// | 108..110 | scale of scales, f16 |
///
/// Codes are stored plus 4.
#[derive(Debug)]
pub struct Q3K;

impl Q3K {
    /// Takes the sixteen scales, in -32..32, out of a block.
    ///
    /// Scales are stored plus 32: low four bits in bytes 96..104 (scales 0..8 in the low, 8..16 in
    /// the high halves), high two bits in bytes 104..108 (four in a byte, four scales apart).
    #[inline]
    pub fn scales(bytes: &[u8; 110]) -> [i8; 16] {
        let mut low = [0; 16];
        let mut high = [0; 16];
        unpack::<4, 8>(&bytes[96..104], &mut low);
        unpack::<2, 4>(&bytes[104..108], &mut high);
        std::array::from_fn(|i| (low[i] | high[i] << 4).cast_signed() - 32)
    }

    fn put_scales(scales: &[i8; 16], bytes: &mut [u8; 110]) {
        let stored = scales.map(|scale| (scale + 32).cast_unsigned());
        pack::<4, 8>(&stored, &mut bytes[96..104]);
        pack::<2, 4>(&stored.map(|scale| scale >> 4), &mut bytes[104..108]);
    }
}

impl Block<256, 110, 16> for Q3K {
    #[inline]
    fn codes(bytes: &[u8; 110]) -> [i8; 256] {
        let mut low = [0; 256];
        let mut high = [0; 256];
        unpack::<2, 32>(&bytes[32..96], &mut low);
        unpack::<1, 32>(&bytes[..32], &mut high);
        std::array::from_fn(|i| (low[i] | high[i] << 2).cast_signed() - 4)
    }

    fn shared(bytes: &[u8; 110]) -> Shared<16> {
        Shared::symmetric(half_at(bytes, 108), Self::scales(bytes))
    }

    // Kernels read this of every block: without minima, which it does not have.
    #[inline]
    fn groups(bytes: &[u8; 110]) -> [Group; 16] {
        let scale = half_at(bytes, 108);
        Self::scales(bytes).map(|code| Group { scale: scale * f32::from(code), min: 0.0 })
    }

    fn assemble(shared: &Shared<16>, codes: &[i8; 256], bytes: &mut [u8; 110]) {
        put_half(bytes, 108, shared.scale);
        Self::put_scales(&shared.scales, bytes);
        let codes = codes.map(|code| (code + 4).cast_unsigned());
        pack::<2, 32>(&codes, &mut bytes[32..96]);
        pack::<1, 32>(&codes.map(|code| code >> 2), &mut bytes[..32]);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 110]) {
        let groups = values.as_chunks::<16>().0;
        let ideal: [f32; 16] = std::array::from_fn(|i| search::scale_of_few(&groups[i], 4.0));
        let shared = scales::shared(extreme(&ideal), -32.0);
        let inverse_shared = inverse(shared);
        let scales = ideal.map(|scale| nearest(scale * inverse_shared, -32.0, 31.0) as i8);
        let shared = Shared::symmetric(shared, scales);
        let inverses = shared.groups().map(|group| inverse(group.scale));
        let codes = std::array::from_fn(|i| nearest(values[i] * inverses[i / 16], -4.0, 3.0) as i8);
        Self::assemble(&shared, &codes, bytes);
    }
}
