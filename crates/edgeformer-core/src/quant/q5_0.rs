use super::bits::{half_at, pack, put_half, unpack};
use super::block::{Block, Shared, centre};

/// 32 codes of 5 bits in -16..16 under one scale.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..6 | highest bits of the codes, element `i` in bit `i` of a little-endian u32 |
/// | 6..22 | low bits: element `i` in the low, `i + 16` in the high half of byte `i` |
///
/// Codes are stored plus 16.
#[derive(Debug)]
pub struct Q5_0;

impl Block<32, 22, 1> for Q5_0 {
    fn codes(bytes: &[u8; 22]) -> [i8; 32] {
        five_bits(&bytes[2..]).map(|code| code.cast_signed() - 16)
    }

    fn shared(bytes: &[u8; 22]) -> Shared<1> {
        Shared::symmetric(half_at(bytes, 0), [1])
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 22]) {
        put_half(bytes, 0, shared.scale);
        put_five_bits(&codes.map(|code| (code + 16).cast_unsigned()), &mut bytes[2..]);
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 22]) {
        let (scale, codes) = centre(values, 16);
        Self::assemble(&Shared::symmetric(scale, [1]), &codes, bytes);
    }
}

/// Four bytes of high bits, sixteen of low ones.
pub(super) fn five_bits(bytes: &[u8]) -> [u8; 32] {
    let (high, low) = bytes.split_at(4);
    let mut codes = [0; 32];
    unpack::<4, 16>(low, &mut codes);
    let mut bits = [0; 32];
    unpack::<1, 1>(high, &mut bits);
    std::array::from_fn(|i| codes[i] | bits[i] << 4)
}

pub(super) fn put_five_bits(codes: &[u8; 32], bytes: &mut [u8]) {
    let (high, low) = bytes.split_at_mut(4);
    pack::<4, 16>(codes, low);
    pack::<1, 1>(&codes.map(|code| code >> 4), high);
}
