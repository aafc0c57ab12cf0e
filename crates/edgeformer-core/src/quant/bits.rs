//! Small codes in bytes, and halves.

use half::f16;

/// Takes codes of `BITS` bits out of bytes, run by run.
///
/// In a run of `RUN` bytes, byte `i` holds the codes `i`, `i + RUN`, `i + 2 RUN`, …, the first in
/// its lowest bits: how every GGUF format packs, so that a vector of bytes gives vectors of
/// neighbouring codes by shifts alone.
#[inline]
pub(super) fn unpack<const BITS: usize, const RUN: usize>(packed: &[u8], codes: &mut [u8]) {
    let mask = (1u8 << BITS) - 1;
    let runs = packed.chunks_exact(RUN).zip(codes.chunks_exact_mut(RUN * 8 / BITS));
    for (packed, codes) in runs {
        for (plane, codes) in codes.chunks_exact_mut(RUN).enumerate() {
            for (code, byte) in codes.iter_mut().zip(packed) {
                *code = (byte >> (plane * BITS)) & mask;
            }
        }
    }
}

/// The inverse of [`unpack`]; of every code only the lowest `BITS` bits are kept.
pub(super) fn pack<const BITS: usize, const RUN: usize>(codes: &[u8], packed: &mut [u8]) {
    let mask = (1u8 << BITS) - 1;
    packed.fill(0);
    let runs = packed.chunks_exact_mut(RUN).zip(codes.chunks_exact(RUN * 8 / BITS));
    for (packed, codes) in runs {
        for (plane, codes) in codes.chunks_exact(RUN).enumerate() {
            for (byte, code) in packed.iter_mut().zip(codes) {
                *byte |= (code & mask) << (plane * BITS);
            }
        }
    }
}

/// The half at a byte offset.
pub(super) fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Writes the nearest half at a byte offset.
pub(super) fn put_half(bytes: &mut [u8], at: usize, value: f32) {
    bytes[at..at + 2].copy_from_slice(&f16::from_f32(storable(value)).to_le_bytes());
}

/// A scale that a half can hold: beyond its range the largest half, never infinity.
pub(super) fn storable(scale: f32) -> f32 {
    scale.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())
}

/// `1 / scale`, and zero where the scale is zero.
pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The whole number nearest to a value (of two, the even one) within bounds below 2^22.
///
/// By the rounding of an addition: `round_ties_even` is a library call on plain x86-64, and
/// encoders round a hundred times a value.
pub(super) fn nearest(value: f32, low: f32, high: f32) -> f32 {
    const ONES: f32 = 12_582_912.0; // 1.5 * 2^23: floats around it are whole numbers
    value.clamp(low, high) + ONES - ONES
}
