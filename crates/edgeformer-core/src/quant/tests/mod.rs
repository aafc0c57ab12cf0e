//! Every format against gguf-py's values, against its error bound, and on what is extreme.

mod golden;
mod properties;

use super::Format;

/// Formats with blocks, and how far a decoded value may lie from the encoded one:
///
/// - `step`: as a share of what the values of the block span (zero included), at worst;
/// - `rms`: root mean square error over root mean square, for normal deviates.
///
/// A step is half the distance of two codes for the formats that round to nearest over the whole
/// range, a whole one where the sign of the extreme value has one code less on the other side.
/// The formats that search may trade their largest error for a smaller sum.
const BOUNDS: [(Format, f32, f32); 12] = [
    (Format::Q8_0, 0.5 / 127.0, 0.007),
    (Format::Q4_0, 1.0 / 8.0, 0.10),
    (Format::Q4_1, 0.5 / 15.0, 0.09),
    (Format::Q5_0, 1.0 / 16.0, 0.05),
    (Format::Q5_1, 0.5 / 31.0, 0.045),
    (Format::Q2K, 0.5, 0.30),
    (Format::Q3K, 0.5, 0.20),
    (Format::Q4K, 0.1, 0.08),
    (Format::Q5K, 0.05, 0.04),
    (Format::Q6K, 0.05, 0.02),
    (Format::Iq4Nl, 0.2, 0.09),
    (Format::Iq4Xs, 0.2, 0.09),
];

/// Rounding of scales and minima to halves, beside the step.
const HALF: f32 = 1.0 / 1024.0;

fn decoded(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / format.block_bytes() * format.block_len()];
    format.dequantize(bytes, &mut values).unwrap();
    values
}

fn encoded(format: Format, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0xAA; values.len() / format.block_len() * format.block_bytes()];
    format.quantize(values, &mut bytes).unwrap();
    bytes
}

fn round_trip(format: Format, values: &[f32]) -> Vec<f32> {
    decoded(format, &encoded(format, values))
}

#[test]
fn normal_deviates_keep_their_precision() {
    let values = normal(256 * 64);
    let power: f32 = values.iter().map(|value| value * value).sum();
    for (format, _, bound) in BOUNDS {
        let errors = round_trip(format, &values);
        let error: f32 = errors.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum();
        let rms = (error / power).sqrt();
        assert!(rms < bound, "{format}: {rms}");
        assert!(rms > bound / 2.0, "{format}: {rms}, the bound {bound} is loose");
    }
}

#[test]
fn zeros_stay_zeros() {
    for format in Format::ALL {
        assert_eq!(round_trip(format, &[0.0; 256]), [0.0; 256], "{format}");
        assert_eq!(round_trip(format, &[-0.0; 256]), [0.0; 256], "{format}");
    }
}

#[test]
fn constants_stay_constants() {
    for format in Format::ALL {
        for constant in [1.0f32, -1.0, 0.1, -1234.5, 3e4, -0.3] {
            for value in round_trip(format, &[constant; 256]) {
                assert!((value / constant - 1.0).abs() < 4.0 * HALF, "{format} {constant} {value}");
            }
        }
    }
}

#[test]
fn what_a_half_cannot_scale_becomes_zero() {
    let tiny = [1e-40f32, -1e-40, f32::MIN_POSITIVE, -1e-30, 1e-20, 1e-12, 0.0, -1e-11];
    let values: Vec<f32> = tiny.iter().cycle().take(256).copied().collect();
    for (format, ..) in BOUNDS {
        assert!(round_trip(format, &values).iter().all(|&value| value == 0.0), "{format}");
    }
}

#[test]
fn k_quants_keep_small_blocks() {
    let values: Vec<f32> = normal(256).iter().map(|value| value * 1e-5).collect();
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for format in [Format::Q2K, Format::Q3K, Format::Q4K, Format::Q5K, Format::Q6K, Format::Iq4Xs] {
        for (after, before) in round_trip(format, &values).iter().zip(&values) {
            assert!((after - before).abs() < 0.5 * largest, "{format}: {before} became {after}");
        }
    }
}

#[test]
fn what_is_too_large_becomes_the_largest() {
    for (format, ..) in BOUNDS {
        for huge in [1e10, 1e20, f32::MAX, f32::INFINITY] {
            let values: Vec<f32> = (0..256).map(|i| if i % 3 == 0 { huge } else { 1.0 }).collect();
            for (after, before) in round_trip(format, &values).iter().zip(&values) {
                assert!(after.is_finite(), "{format} {huge}");
                assert!(*before == 1.0 || *after > 65_000.0, "{format}: {huge} became {after}");
            }
        }
    }
}

#[test]
fn nan_becomes_zero() {
    let mut values = vec![1.0; 256];
    values[7] = f32::NAN;
    for (format, ..) in BOUNDS {
        let after = round_trip(format, &values);
        // The book of the IQ4 formats has no zero: the nearest entry is 1 of 127.
        assert!(after[7].abs() < 0.01, "{format} {}", after[7]);
        assert!((after[8] - 1.0).abs() < 4.0 * HALF, "{format} {}", after[8]);
    }
}

#[test]
fn floats_keep_what_they_can() {
    let values = [1.5, -0.25, f32::INFINITY, f32::NEG_INFINITY, 0.0, 65504.0];
    for format in [Format::F32, Format::F16] {
        assert_eq!(round_trip(format, &values), values);
        assert!(round_trip(format, &[f32::NAN])[0].is_nan());
    }
    assert_eq!(round_trip(Format::BF16, &[1.0, 1e38, 1.0 + 1.0 / 512.0])[0], 1.0);
    assert_eq!(round_trip(Format::F16, &[65520.0]), [f32::INFINITY]);
}

#[test]
fn lengths_that_do_not_fit_are_errors() {
    for format in Format::ALL {
        let (len, bytes) = (format.block_len(), format.block_bytes());
        assert!(format.dequantize(&vec![0; bytes + 1], &mut vec![0.0; len]).is_err());
        assert!(format.dequantize(&vec![0; bytes], &mut vec![0.0; len + 1]).is_err());
        assert!(format.quantize(&vec![0.0; 2 * len], &mut vec![0; bytes]).is_err());
        assert!(format.quantize(&[], &mut []).is_ok());
        assert!(format.tensor_bytes(&[]).is_err());
        assert!(format.tensor_bytes(&[0, len]).is_err());
        assert!(format.tensor_bytes(&[usize::MAX, len * 16]).is_err());
        assert_eq!(format.tensor_bytes(&[3, 2 * len]).unwrap(), 6 * bytes);
    }
    let error = Format::Q4K.tensor_bytes(&[2, 128]).unwrap_err();
    insta::assert_snapshot!(error, @"format q4_k: rows of 128 are not whole blocks of 256");
}

#[test]
fn names_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.name().to_uppercase().parse::<Format>().unwrap(), format);
    }
    let error = "q9_k".parse::<Format>().unwrap_err();
    insta::assert_snapshot!(error, @r#"configuration: unknown format "q9_k", known are f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs"#);
}

#[test]
fn the_nearest_code_is_nearest() {
    for value in -300..300 {
        let value = value as f32 / 2.0;
        let distance = |code: u8| (value - f32::from(super::CODE_BOOK[usize::from(code)])).abs();
        let nearest = distance(super::nearest_code(value));
        assert!((0..16).all(|code| nearest <= distance(code)), "{value}");
    }
}

/// Normal deviates, always the same: sums of uniform ones from a linear congruence.
fn normal(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}
