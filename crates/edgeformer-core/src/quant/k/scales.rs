//! The eight 6-bit scales and minima of Q4_K and Q5_K, and super-block scales.

use half::f16;

use super::search::Asymmetric;
use crate::quant::bits::{half_at, inverse, nearest, put_half, storable};
use crate::quant::block::{Group, Shared};

/// Takes the eight scales and the eight minima out of their 12 bytes.
///
/// The first four of each are the low six bits of bytes 0..4 and 4..8. The last four have their
/// low four bits in bytes 8..12 (scale in the low half, minimum in the high half) and their high
/// two bits on top of bytes 0..4 and 4..8.
pub fn unpack(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let low = |at: usize, i: usize| packed[at + i] & 63;
    let high = |at: usize, i: usize| (packed[at + i] >> 6) << 4;
    (
        std::array::from_fn(|i| match i {
            0..4 => low(0, i),
            _ => packed[4 + i] & 15 | high(0, i - 4),
        }),
        std::array::from_fn(|i| match i {
            0..4 => low(4, i),
            _ => packed[4 + i] >> 4 | high(4, i - 4),
        }),
    )
}

/// The inverse of [`unpack`].
pub fn pack(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    std::array::from_fn(|i| match i {
        0..4 => scales[i] | (scales[i + 4] >> 4) << 6,
        4..8 => mins[i - 4] | (mins[i] >> 4) << 6,
        _ => scales[i - 4] & 15 | (mins[i - 4] & 15) << 4,
    })
}

/// Scales and minima of a Q4_K or Q5_K block: two halves, then 12 packed bytes.
pub fn take_shared(header: &[u8; 16]) -> Shared<8> {
    let (scales, mins) = unpack(packed(header));
    Shared {
        scale: half_at(header, 0),
        min: half_at(header, 2),
        scales: scales.map(u8::cast_signed),
        mins,
    }
}

/// The inverse of [`take_shared`].
pub fn put_shared(shared: &Shared<8>, header: &mut [u8; 16]) {
    put_half(header, 0, shared.scale);
    put_half(header, 2, shared.min);
    header[4..].copy_from_slice(&pack(&shared.scales.map(i8::cast_unsigned), &shared.mins));
}

/// The packed bytes behind the two halves.
pub fn packed(header: &[u8; 16]) -> &[u8; 12] {
    header[4..].first_chunk().expect("16 - 4 bytes are 12")
}

/// Chooses scales and minima of eight groups of 32 values, and the codes.
pub fn encode(values: &[f32; 256], search: &Asymmetric) -> (Shared<8>, [i8; 256]) {
    let mut scales = [0.0; 8];
    let mut mins = [0.0; 8];
    for (i, values) in values.as_chunks::<32>().0.iter().enumerate() {
        let mean_square = values.iter().map(|value| value * value).sum::<f32>() / 32.0;
        let weights = values.map(|value| mean_square.sqrt() + value.abs());
        (scales[i], mins[i]) = search.find(values, &weights);
    }
    let shared = under_two(&scales, &mins, 63);
    (shared, codes(values, &shared.groups(), search.levels))
}

/// The codes nearest to the values under groups as they are stored.
pub fn codes<const GROUPS: usize>(
    values: &[f32; 256],
    groups: &[Group; GROUPS],
    levels: u8,
) -> [i8; 256] {
    let size = 256 / GROUPS;
    let inverses = groups.map(|group| inverse(group.scale));
    std::array::from_fn(|i| {
        let group = i / size;
        nearest((values[i] + groups[group].min) * inverses[group], 0.0, f32::from(levels)) as i8
    })
}

/// Scales and minima that are not negative, each as codes up to `levels` under one half.
pub fn under_two<const N: usize>(scales: &[f32; N], mins: &[f32; N], levels: u8) -> Shared<N> {
    let (scale, scales) = under_one(scales, levels);
    let (min, mins) = under_one(mins, levels);
    Shared { scale, min, scales: scales.map(u8::cast_signed), mins }
}

fn under_one<const N: usize>(scales: &[f32; N], levels: u8) -> (f32, [u8; N]) {
    let largest = scales.iter().fold(0.0f32, |largest, &scale| largest.max(scale));
    let shared = shared(largest, f32::from(levels));
    let inverse = inverse(shared);
    (shared, scales.map(|scale| nearest(scale * inverse, 0.0, f32::from(levels)) as u8))
}

/// The half nearest to `largest / levels`, or the next one away from zero where halves are so
/// coarse that `largest` would be cut by more than half a code.
pub fn shared(largest: f32, levels: f32) -> f32 {
    let exact = storable(largest / levels);
    let nearest = f16::from_f32(exact);
    let magnitude = nearest.to_f32().abs();
    let cut = (exact.abs() - magnitude) * levels.abs() > 0.5 * magnitude;
    // Negligible values stay zero: a code of one would be more than they are.
    if cut && largest.abs() * 2.0 >= f16::from_bits(1).to_f32() {
        f16::from_bits(nearest.to_bits() + 1).to_f32()
    } else {
        nearest.to_f32()
    }
}
