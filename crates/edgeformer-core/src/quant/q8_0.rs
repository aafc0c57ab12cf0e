use super::bits::{half_at, inverse, put_half, storable};
use super::block::{Block, Group, extreme};

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

    fn groups(bytes: &[u8; 34]) -> [Group; 1] {
        [Group::symmetric(half_at(bytes, 0))]
    }

    fn encode(values: &[f32; 32], bytes: &mut [u8; 34]) {
        let scale = storable(extreme(values).abs() / 127.0);
        let inverse = inverse(scale);
        put_half(bytes, 0, scale);
        for (byte, value) in bytes[2..].iter_mut().zip(values) {
            *byte = ((value * inverse).round() as i8).max(-127).cast_unsigned();
        }
    }
}
