use super::bits::{half_at, inverse, put_half, storable};
use super::block::{Block, Shared, extreme};

/// 32 signed bytes under one scale.
///
/// | bytes | |
/// |---|---|
/// | 0..2 | scale, f16 |
/// | 2..34 | codes, i8 |
#[derive(Debug)]
pub struct Q8_0;

impl Block<32, 34, 1> for Q8_0 {
    fn codes(bytes: &[u8; 34]) -> [i8; 32] {
        std::array::from_fn(|i| bytes[2 + i].cast_signed())
    }

    fn shared(bytes: &[u8; 34]) -> Shared<1> {
        Shared::symmetric(half_at(bytes, 0), [1])
    }

    fn assemble(shared: &Shared<1>, codes: &[i8; 32], bytes: &mut [u8; 34]) {
        put_half(bytes, 0, shared.scale);
        bytes[2..].copy_from_slice(&codes.map(i8::cast_unsigned));
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 34]) {
        let scale = storable(extreme(values).abs() / 127.0);
        let inverse = inverse(scale);
        let codes = values.map(|value| ((value * inverse).round() as i8).max(-127));
        Self::assemble(&Shared::symmetric(scale, [1]), &codes, bytes);
    }
}
