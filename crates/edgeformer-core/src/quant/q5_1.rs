use super::bits::{half_at, put_half};
use super::block::{Block, Shared, spread};
use super::q5_0::{five_bits, put_five_bits};

/// 32 codes of 5 bits in 0..32 under one scale, above one minimum.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..4 | minimum, f16, added |
/// | 4..8 | highest bits of the codes, element `i` in bit `i` of a little-endian u32 |
/// | 8..24 | low bits: element `i` in the low, `i + 16` in the high half of byte `i` |
#[derive(Debug)]
pub struct Q5_1;

impl Block<32, 24, 1> for Q5_1 {
    fn codes(bytes: &[u8; 24]) -> [i8; 32] {
        five_bits(&bytes[4..]).map(u8::cast_signed)
    }

    fn shared(bytes: &[u8; 24]) -> Shared<1> {
        Shared::single(half_at(bytes, 0), -half_at(bytes, 2))
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 24]) {
        put_half(bytes, 0, shared.scale);
        put_half(bytes, 2, -shared.min);
        put_five_bits(&codes.map(i8::cast_unsigned), &mut bytes[4..]);
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 24]) {
        let (scale, min, codes) = spread(values, 31);
        Self::assemble(&Shared::single(scale, -min), &codes, bytes);
    }
}
