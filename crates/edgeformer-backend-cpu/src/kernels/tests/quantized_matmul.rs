use edgeformer_core::{Format, Rows};
use proptest::prelude::*;

use super::sample::{Sample, with_scales};
use super::{Form, assert_same_bits, forms, product, quantize, tables};
use crate::kernels::{Kernels, Q8Buffer};

const QUANTIZED: [Format; 12] = [
    Format::Q8_0,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5_1,
    Format::Q2K,
    Format::Q3K,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
    Format::Iq4Nl,
    Format::Iq4Xs,
];

/// Activations as the kernels see them.
fn seen(kernels: &Kernels, x: Rows<'_>) -> Vec<f32> {
    let mut buffer = Q8Buffer::default();
    let rows = quantize(kernels, x, &mut buffer);
    let row = |token| {
        let row = rows.row(token);
        row.codes.iter().enumerate().map(move |(i, &code)| row.scales[i / 32] * f32::from(code))
    };
    (0..x.len()).flat_map(row).collect()
}

/// What the parts of a weight may weigh, for kernels may keep codes unsigned and correct them by a
/// minimum: twice the largest weight that the scales of its block allow.
fn magnitudes(format: Format, weights: &[u8], decoded: &[f32]) -> Vec<f32> {
    let block = format.block_len();
    let with_codes = |byte: u8| {
        let mut bytes = weights.to_vec();
        for (at, value) in bytes.iter_mut().enumerate() {
            if is_code(format, at % format.block_bytes()) {
                *value = byte;
            }
        }
        let mut values = vec![0.0; decoded.len()];
        format.dequantize(&bytes, &mut values).unwrap();
        values
    };
    let (low, high, middle) = (with_codes(0), with_codes(255), with_codes(0x80));
    let largest = |start: usize| {
        [&low, &high, &middle]
            .iter()
            .flat_map(|values| &values[start..start + block])
            .fold(0.0f32, |largest, value| largest.max(value.abs()))
    };
    (0..decoded.len()).map(|i| 2.0 * largest(i / block * block)).collect()
}

/// Whether a byte of a block holds codes alone.
fn is_code(format: Format, at: usize) -> bool {
    match format {
        Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Iq4Nl => at >= 2,
        Format::Q4_1 | Format::Q5_1 => at >= 4,
        Format::Q2K => (16..80).contains(&at),
        Format::Q3K => at < 96,
        Format::Q4K | Format::Q5K => at >= 16,
        Format::Q6K => at < 192,
        Format::Iq4Xs => at >= 8,
        Format::F32 | Format::F16 | Format::BF16 => true,
    }
}

/// Compares every table with the product of exactly what weights and activations stand for. Only
/// f32 roundings may differ: a few in a block, and one for every block that is added.
fn assert_exact(format: Format, weights: &[u8], x: Rows<'_>, rows: usize) {
    let columns = x.width();
    let mut decoded = vec![0.0; rows * columns];
    format.dequantize(weights, &mut decoded).unwrap();
    let magnitudes = magnitudes(format, weights, &decoded);
    let cases = tables()
        .flat_map(|kernels| forms(kernels, format, columns).map(move |form| (kernels, form)));
    for (kernels, form) in cases {
        let got = product(kernels, format, form, weights, x, rows);
        let seen = seen(kernels, x);
        for (token, x) in seen.chunks_exact(columns).enumerate() {
            for row in 0..rows {
                let weights = &decoded[row * columns..][..columns];
                let magnitudes = &magnitudes[row * columns..][..columns];
                let pairs = || weights.iter().zip(magnitudes).zip(x);
                let exact: f64 = pairs().map(|((&w, _), &x)| f64::from(w) * f64::from(x)).sum();
                let size: f64 =
                    pairs().map(|((_, &m), &x)| f64::from(m) * f64::from(x.abs())).sum();
                let bound = (columns / 32 + 12) as f64 * f64::from(f32::EPSILON) * size;
                let error = (f64::from(got[token * rows + row]) - exact).abs();
                assert!(
                    error <= bound,
                    "{kernels:?} {format} {form:?}: token {token}, row {row}: {} is not {exact} (bound {bound})",
                    got[token * rows + row],
                );
            }
        }
    }
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(QUANTIZED.as_slice())
}

/// Columns, in blocks of the format: K-quants one to three, others odd numbers of panels too.
fn columns(format: Format, size: usize) -> usize {
    if format.block_len() == 256 { 256 * (1 + size % 3) } else { 32 * (1 + size) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn products_are_exact_but_for_f32_roundings(
        format in format(), size in 0..20usize, rows in 1..40usize, tokens in 1..7usize,
        seed: u64,
    ) {
        let columns = columns(format, size);
        let mut sample = Sample(seed);
        let weights = sample.blocks(format, rows * columns);
        let x = sample.floats(tokens * columns);
        assert_exact(format, &weights, Rows::new(&x, columns), rows);
    }

    #[test]
    fn a_result_depends_on_its_row_and_token_alone(
        format in format(), size in 0..20usize, rows in 1..40usize, tokens in 1..70usize,
        seed: u64,
    ) {
        let columns = columns(format, size);
        let mut sample = Sample(seed);
        let weights = sample.blocks(format, rows * columns);
        let x = sample.floats(tokens * columns);
        for kernels in tables() {
            assert_same_bits(kernels, format, &weights, Rows::new(&x, columns), rows);
        }
    }

    /// They multiply bytes by different instructions, whose sums are the same integers.
    #[cfg(target_arch = "aarch64")]
    #[test]
    fn tables_for_arm_give_the_same_bits(
        format in format(), size in 0..20usize, rows in 1..40usize, tokens in 1..12usize,
        seed: u64,
    ) {
        let columns = columns(format, size);
        let mut sample = Sample(seed);
        let weights = sample.blocks(format, rows * columns);
        let x = sample.floats(tokens * columns);
        for form in [Form::Rows, Form::Panels] {
            let mut all = tables()
                .filter(|kernels| forms(kernels, format, columns).any(|own| own == form))
                .filter(|kernels| kernels.isa().name() != "scalar")
                .map(|kernels| product(kernels, format, form, &weights, Rows::new(&x, columns), rows));
            let Some(first) = all.next() else { continue };
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for other in all {
                prop_assert_eq!(bits(&other), bits(&first));
            }
        }
    }

    #[test]
    fn eight_bits_lose_half_a_code_an_activation(
        format in format(), size in 0..20usize, rows in 1..4usize, seed: u64,
    ) {
        let columns = columns(format, size);
        let mut sample = Sample(seed);
        let weights = sample.blocks(format, rows * columns);
        let x = sample.floats(columns);
        let mut decoded = vec![0.0; rows * columns];
        format.dequantize(&weights, &mut decoded).unwrap();
        for kernels in tables() {
            let got =
                product(kernels, format, Form::Rows, &weights, Rows::new(&x, columns), rows);
            for (got, weights) in got.iter().zip(decoded.chunks_exact(columns)) {
                let exact: f64 = weights.iter().zip(&x).map(|(&w, &x)| f64::from(w * x)).sum();
                // Scales are at most 1/127; a hundredth is left for all f32 roundings.
                let lost: f64 = weights.iter().map(|w| f64::from(w.abs()) / 254.0).sum();
                prop_assert!((f64::from(*got) - exact).abs() <= 1.01 * lost + 1e-2);
            }
        }
    }
}

/// Nothing saturates: codes at either end of their range against activations at the ends of
/// theirs, of one sign, of both, and of signs that follow the weights.
#[test]
fn extremes_are_exact() {
    for format in QUANTIZED {
        let columns = 256;
        let bytes = format.block_bytes() * columns / format.block_len();
        for pattern in [0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0, 0x81] {
            for scale in [1.0, -0.001, 65504.0, 0.0, 6e-8] {
                let weights = with_scales(format, vec![pattern; bytes], || scale);
                let mut decoded = vec![0.0; columns];
                format.dequantize(&weights, &mut decoded).unwrap();
                let same: Vec<_> = vec![127.0; columns];
                let mixed: Vec<_> =
                    (0..columns).map(|i| if i % 3 == 0 { -127.0 } else { 127.0 }).collect();
                let follow: Vec<_> = decoded.iter().map(|w| 127.0f32.copysign(*w)).collect();
                let against: Vec<_> = follow.iter().map(|x| -x).collect();
                let huge: Vec<_> = follow.iter().map(|x| x * 1e20).collect();
                for x in [same, mixed, follow, against, huge] {
                    assert_exact(format, &weights, Rows::new(&x, columns), 1);
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_shows() {
    let weights = Sample(7).blocks(Format::Q4_0, 64);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = vec![1.0; 64];
        x[40] = bad;
        for kernels in tables() {
            for form in forms(kernels, Format::Q4_0, 64) {
                let got = product(kernels, Format::Q4_0, form, &weights, Rows::new(&x, 64), 1);
                assert!(got[0].is_nan());
            }
        }
    }
}
