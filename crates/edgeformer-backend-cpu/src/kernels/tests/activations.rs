use edgeformer_core::Rows;
use proptest::prelude::*;

use super::sample::Sample;
use super::{quantize, tables};
use crate::kernels::Q8Buffer;

/// Floats of every magnitude, now and then one that is not finite.
pub(super) fn wild(seed: u64, count: usize) -> Vec<f32> {
    let mut sample = Sample(seed);
    let exponent = (sample.bits() % 80) as i32 - 45;
    let mut values: Vec<_> = (0..count).map(|_| sample.float() * 10f32.powi(exponent)).collect();
    if seed.is_multiple_of(5) {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45];
        values[count / 2] = special[(seed % 25 / 5) as usize];
    }
    values
}

proptest! {
    #[test]
    fn codes_are_the_nearest_in_every_table(seed: u64, blocks in 1..20usize, rows in 1..4usize) {
        let columns = 32 * blocks;
        let values = wild(seed, rows * columns);
        let mut first: Option<Vec<String>> = None;
        for kernels in tables() {
            let mut buffer = Q8Buffer::default();
            // What an earlier step left behind must not show.
            quantize(kernels, Rows::new(&vec![3.0; 4 * columns], columns), &mut buffer);
            let quantized = quantize(kernels, Rows::new(&values, columns), &mut buffer);
            for (row, values) in values.chunks_exact(columns).enumerate() {
                let row = quantized.row(row);
                prop_assert!(row.scales[blocks..].iter().all(|&scale| scale == 0.0));
                for (block, values) in values.chunks_exact(32).enumerate() {
                    let (scale, codes) = (row.scales[block], &row.codes[32 * block..][..32]);
                    prop_assert!(codes.iter().all(|&code| code > -128));
                    if values.iter().any(|value| !value.is_finite()) {
                        prop_assert!(scale.is_nan());
                        continue;
                    }
                    for (value, &code) in values.iter().zip(codes) {
                        let error = f64::from(*value) - f64::from(scale) * f64::from(code);
                        // Below the smallest normal scale everything becomes zero.
                        let bound = f64::from(scale.max(3e-36)) * 0.500_1;
                        prop_assert!(error.abs() <= bound, "{value} is not {code} * {scale}");
                    }
                    let sum = |codes: &[i8]| codes.iter().map(|&code| f32::from(code)).sum::<f32>();
                    prop_assert_eq!(row.low_sums[block], scale * sum(&codes[..16]));
                    prop_assert_eq!(row.high_sums[block], scale * sum(&codes[16..]));
                }
            }
            let all: Vec<_> = (0..rows).map(|row| format!("{:?}", quantized.row(row))).collect();
            if let Some(first) = &first {
                prop_assert_eq!(first, &all);
            }
            first = Some(all);
        }
    }

    #[test]
    fn parts_that_threads_fill_make_up_the_whole(seed: u64, rows in 1..9usize, part in 1..4usize) {
        let values = Sample(seed).floats(rows * 96);
        let kernels = tables().next().expect("there is a scalar table");
        let (mut whole, mut parts) = (Q8Buffer::default(), Q8Buffer::default());
        quantize(kernels, Rows::new(&values, 96), &mut whole);
        for (rows, values) in parts.reset(rows, 96).chunks(part).zip(values.chunks(part * 96)) {
            rows.quantize(kernels, Rows::new(values, 96));
        }
        for row in 0..rows {
            prop_assert_eq!(whole.view().row(row), parts.view().row(row));
        }
    }
}
