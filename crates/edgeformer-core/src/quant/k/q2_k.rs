use super::scales::{codes, under_two};
use super::search::Asymmetric;
use crate::quant::bits::{half_at, pack, put_half, unpack};
use crate::quant::block::{Block, Shared};

/// 256 codes of 2 bits in groups of 16, with 4-bit scales and minima.
///
/// | bytes | |
/// |---|---|
/// | 0..16 | per group: scale in the low, minimum in the high half |
/// | 16..80 | codes: per 128 elements 32 bytes, four codes in a byte 32 elements apart |
/// | 80..82 | scale of scales, f16 |
/// | 82..84 | scale of minima, f16 |
#[derive(Debug)]
pub struct Q2K;

const SEARCH: Asymmetric = Asymmetric { levels: 3, first: -0.5, steps: 15, cost: f32::abs };

impl Block<256, 84, 16> for Q2K {
    fn codes(bytes: &[u8; 84]) -> [i8; 256] {
        let mut codes = [0; 256];
        unpack::<2, 32>(&bytes[16..80], &mut codes);
        codes.map(u8::cast_signed)
    }

    fn shared(bytes: &[u8; 84]) -> Shared<16> {
        Shared {
            scale: half_at(bytes, 80),
            min: half_at(bytes, 82),
            scales: std::array::from_fn(|i| (bytes[i] & 15).cast_signed()),
            mins: std::array::from_fn(|i| bytes[i] >> 4),
        }
    }

    fn assemble(shared: &Shared<16>, codes: &[i8; 256], bytes: &mut [u8; 84]) {
        let pairs = shared.scales.iter().zip(&shared.mins);
        for (byte, (scale, min)) in bytes.iter_mut().zip(pairs) {
            *byte = scale.cast_unsigned() | min << 4;
        }
        put_half(bytes, 80, shared.scale);
        put_half(bytes, 82, shared.min);
        pack::<2, 32>(&codes.map(i8::cast_unsigned), &mut bytes[16..80]);
    }

    fn encode(values: &[f32; 256], bytes: &mut [u8; 84]) {
        let mut scales = [0.0; 16];
        let mut mins = [0.0; 16];
        for (i, values) in values.as_chunks::<16>().0.iter().enumerate() {
            (scales[i], mins[i]) = SEARCH.find(values, &values.map(f32::abs));
        }
        let shared = under_two(&scales, &mins, 15);
        Self::assemble(&shared, &codes(values, &shared.groups(), SEARCH.levels), bytes);
    }
}
