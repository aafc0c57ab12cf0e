use super::{best_scale, code_of, look_up, nearest_code};
use crate::quant::bits::{half_at, inverse, pack, put_half, unpack};
use crate::quant::block::{Block, Shared};

/// 32 codes of 4 bits that look up [`CODE_BOOK`](super::CODE_BOOK), under one scale.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..18 | codes: element `i` in the low, `i + 16` in the high half of byte `i` |
#[derive(Debug)]
pub struct Iq4Nl;

impl Block<32, 18, 1> for Iq4Nl {
    fn codes(bytes: &[u8; 18]) -> [i8; 32] {
        let mut codes = [0; 32];
        unpack::<4, 16>(&bytes[2..], &mut codes);
        codes.map(look_up)
    }

    fn shared(bytes: &[u8; 18]) -> Shared<1> {
        Shared::symmetric(half_at(bytes, 0), [1])
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 18]) {
        put_half(bytes, 0, shared.scale);
        pack::<4, 16>(&codes.map(code_of), &mut bytes[2..]);
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 18]) {
        put_half(bytes, 0, best_scale(values));
        let shared = Self::shared(bytes);
        let inverse = inverse(shared.scale);
        let codes = values.map(|value| look_up(nearest_code(value * inverse)));
        Self::assemble(&shared, &codes, bytes);
    }
}
