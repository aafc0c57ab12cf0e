use super::bits::{half_at, pack, put_half, unpack};
use super::block::{Block, Shared, spread};

/// 32 codes of 4 bits in 0..16 under one scale, above one minimum.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..4 | minimum, f16, added |
/// | 4..20 | codes: element `i` in the low, `i + 16` in the high half of byte `i` |
#[derive(Debug)]
pub struct Q4_1;

impl Block<32, 20, 1> for Q4_1 {
    fn codes(bytes: &[u8; 20]) -> [i8; 32] {
        let mut codes = [0; 32];
        unpack::<4, 16>(&bytes[4..], &mut codes);
        codes.map(u8::cast_signed)
    }

    fn shared(bytes: &[u8; 20]) -> Shared<1> {
        Shared::single(half_at(bytes, 0), -half_at(bytes, 2))
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 20]) {
        put_half(bytes, 0, shared.scale);
        put_half(bytes, 2, -shared.min);
        pack::<4, 16>(&codes.map(i8::cast_unsigned), &mut bytes[4..]);
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 20]) {
        let (scale, min, codes) = spread(values, 15);
        Self::assemble(&Shared::single(scale, -min), &codes, bytes);
    }
}
