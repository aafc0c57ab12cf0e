//! Every format against gguf-py's values, against its error bound, and on what is extreme.

use proptest::prelude::*;

use super::Format;
use super::block::range;

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

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

macro_rules! golden {
    ($format:ident, $name:literal, $direction:literal) => {
        (
            Format::$format,
            &include_bytes!(concat!("../../testdata/quant/", $name, ".", $direction))[..],
        )
    };
}

#[test]
fn decodes_what_gguf_py_decodes() {
    let golden = [
        golden!(Q8_0, "q8_0", "decode"),
        golden!(Q4_0, "q4_0", "decode"),
        golden!(Q4_1, "q4_1", "decode"),
        golden!(Q5_0, "q5_0", "decode"),
        golden!(Q5_1, "q5_1", "decode"),
        golden!(Q2K, "q2_k", "decode"),
        golden!(Q3K, "q3_k", "decode"),
        golden!(Q4K, "q4_k", "decode"),
        golden!(Q5K, "q5_k", "decode"),
        golden!(Q6K, "q6_k", "decode"),
        golden!(Iq4Nl, "iq4_nl", "decode"),
        golden!(Iq4Xs, "iq4_xs", "decode"),
    ];
    for (format, golden) in golden {
        let (blocks, values) = golden.split_at(3 * format.block_bytes());
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(decoded(format, blocks)), bits(floats(values)), "{format}");
    }
}

#[test]
fn encodes_what_gguf_py_encodes() {
    let golden = [
        golden!(Q8_0, "q8_0", "encode"),
        golden!(Q4_0, "q4_0", "encode"),
        golden!(Q4_1, "q4_1", "encode"),
        golden!(Q5_0, "q5_0", "encode"),
        golden!(Q5_1, "q5_1", "encode"),
    ];
    for (format, golden) in golden {
        let (values, blocks) = golden.split_at(4 * 32 * size_of::<f32>());
        assert_eq!(encoded(format, &floats(values)), blocks, "{format}");
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn encoding_stays_within_the_bound(values in values(), scale in -4i8..4) {
        let values: Vec<f32> = values.iter().map(|v| v * 10f32.powi(scale.into())).collect();
        for (format, step, _) in BOUNDS {
            let after = round_trip(format, &values);
            let blocks = values.chunks(format.block_len()).zip(after.chunks(format.block_len()));
            for (before, after) in blocks {
                let (min, max) = range(before);
                let bound = (max.max(0.0) - min.min(0.0)) * (step + HALF) + 1e-5;
                for (before, after) in before.iter().zip(after) {
                    prop_assert!((before - after).abs() <= bound, "{format} {before} {after}");
                }
            }
        }
    }

    #[test]
    fn symmetric_formats_are_stable(values in values()) {
        for format in [Format::Q8_0, Format::Q4_0, Format::Q5_0] {
            let once = encoded(format, &values);
            prop_assert_eq!(encoded(format, &decoded(format, &once)), once);
        }
    }

    #[test]
    fn any_bytes_decode_and_their_values_encode(
        bytes in prop::collection::vec(any::<u8>(), 210),
    ) {
        for format in Format::ALL {
            let values = decoded(format, &bytes[..format.block_bytes()]);
            let after = round_trip(format, &values);
            prop_assert!(format.is_float() || after.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn any_values_encode(bits in prop::collection::vec(any::<u32>(), 256)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for (format, ..) in BOUNDS {
            prop_assert!(round_trip(format, &values).iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn packing_is_undone(codes in prop::collection::vec(0u8..16, 256)) {
        let mut packed = [0; 128];
        super::bits::pack::<4, 32>(&codes, &mut packed);
        let mut unpacked = [0; 256];
        super::bits::unpack::<4, 32>(&packed, &mut unpacked);
        prop_assert_eq!(&unpacked[..], &codes[..]);
    }
}

/// A block of 256 values: spread evenly, all of one sign, sparse, or with one outlier.
fn values() -> impl Strategy<Value = Vec<f32>> {
    let block = |element| prop::collection::vec(element, 256);
    prop_oneof![
        block((-1.0f32..1.0).boxed()),
        block((0.0f32..1.0).boxed()),
        block((-1.0f32..0.0).boxed()),
        block((0.9f32..1.0).boxed()),
        block(prop_oneof![9 => Just(0.0f32), 1 => -1.0f32..1.0].boxed()),
        (block((-0.1f32..0.1).boxed()), 0..256usize).prop_map(|(mut values, at)| {
            values[at] = 1.0;
            values
        }),
    ]
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
