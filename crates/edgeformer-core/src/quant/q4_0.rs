use super::bits::{half_at, pack, put_half, unpack};
use super::block::{Block, Shared, centre};

/// 32 codes of 4 bits in -8..8 under one scale.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..18 | codes plus 8: element `i` in the low, `i + 16` in the high half of byte `i` |
#[derive(Debug)]
pub struct Q4_0;

impl Block<32, 18, 1> for Q4_0 {
    fn codes(bytes: &[u8; 18]) -> [i8; 32] {
        let mut codes = [0; 32];
        unpack::<4, 16>(&bytes[2..], &mut codes);
        codes.map(|code| code.cast_signed() - 8)
    }

    fn shared(bytes: &[u8; 18]) -> Shared<1> {
        Shared::symmetric(half_at(bytes, 0), [1])
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 18]) {
        put_half(bytes, 0, shared.scale);
        pack::<4, 16>(&codes.map(|code| (code + 8).cast_unsigned()), &mut bytes[2..]);
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 18]) {
        let (scale, codes) = centre(values, 8);
        Self::assemble(&Shared::symmetric(scale, [1]), &codes, bytes);
    }
}
