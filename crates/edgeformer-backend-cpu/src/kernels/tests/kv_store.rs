//! Rows into the cache and out of it.

use half::f16;
use proptest::prelude::*;

use super::activations::wild;
use super::kv::{KEPT, Owned, bits};
use super::sample::Sample;
use super::tables;
use crate::kernels::KvRows;

fn block() -> impl Strategy<Value = usize> {
    prop::sample::select([8usize, 16, 32].as_slice())
}

fn half_bits(values: &[f16]) -> Vec<u16> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The distance that storing may put between an element and its block's nearest codes: `codes`
/// steps of the scale, and what the scale lost when it became an f16.
fn assert_near(values: &[f32], got: &[f32], block: usize, codes: f32) -> Result<(), TestCaseError> {
    for (values, got) in values.chunks_exact(block).zip(got.chunks_exact(block)) {
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        // A scale may become infinite or zero, where f16 ends.
        let fits = values.iter().all(|value| value.is_finite()) && largest < 8.0 * 65504.0;
        if !fits {
            continue;
        }
        for (value, got) in values.iter().zip(got) {
            let bound = largest * codes + 130.0 * 6e-8;
            prop_assert!((value - got).abs() <= bound, "{value} became {got}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn queries_become_the_nearest_codes_in_every_table(
        seed: u64, blocks in 0..12usize, block in block(),
    ) {
        let values = wild(seed, blocks.max(1) * block);
        let values = &values[..blocks * block];
        let mut first: Option<(Vec<i8>, Vec<u32>)> = None;
        for kernels in tables() {
            let (mut codes, mut scales) = (vec![99; values.len()], vec![99.0; blocks]);
            kernels.quantize_queries(values, block, &mut codes, &mut scales);
            for (index, (value, &code)) in values.iter().zip(&codes).enumerate() {
                let scale = scales[index / block];
                let own = &values[index / block * block..][..block];
                if own.iter().any(|value| !value.is_finite()) {
                    prop_assert!(scale.is_nan());
                    continue;
                }
                let error = f64::from(*value) - f64::from(scale) * f64::from(code);
                prop_assert!(error.abs() <= f64::from(scale.max(3e-36)) * 0.500_1);
                prop_assert!(code > -128);
            }
            let this = (codes, bits(&scales));
            prop_assert_eq!(first.get_or_insert_with(|| this.clone()), &this);
        }
    }

    #[test]
    fn eight_bits_lose_half_a_code(seed: u64, blocks in 1..12usize, block in block()) {
        let values = wild(seed, blocks * block);
        let mut first: Option<(Vec<i8>, Vec<u16>)> = None;
        for kernels in tables() {
            let (mut codes, mut scales) = (vec![99; values.len()], vec![f16::ONE; blocks]);
            kernels.store_q8(&values, block, &mut codes, &mut scales);
            let mut decoded = vec![f32::NAN; values.len()];
            let stride = values.len();
            let rows = KvRows::Q8 { codes: &codes, scales: &scales, stride, block };
            kernels.decode_rows(rows, stride, &mut decoded);
            // Half a step of 1/127, and 2^-11 of the scale for every code.
            assert_near(&values, &decoded, block, 0.5 / 127.0 + 1.0 / 2048.0)?;
            for (values, decoded) in values.chunks(block).zip(decoded.chunks(block)) {
                if values.iter().any(|value| !value.is_finite()) {
                    prop_assert!(decoded.iter().all(|value| value.is_nan()));
                }
            }
            let this = (codes, half_bits(&scales));
            prop_assert_eq!(first.get_or_insert_with(|| this.clone()), &this);
        }
    }

    #[test]
    fn four_bits_lose_half_a_code_or_a_whole_one_at_one_end(
        seed: u64, blocks in 1..12usize, block in block(),
    ) {
        let values = wild(seed, blocks * block);
        let mut first: Option<(Vec<u8>, Vec<u16>)> = None;
        for kernels in tables() {
            let (mut codes, mut scales) = (vec![99; values.len() / 2], vec![f16::ONE; blocks]);
            kernels.store_q4(&values, block, &mut codes, &mut scales);
            let mut decoded = vec![f32::NAN; values.len()];
            let stride = values.len();
            let rows = KvRows::Q4 { codes: &codes, scales: &scales, stride, block };
            kernels.decode_rows(rows, stride, &mut decoded);
            // The codes end at -8 and 7.
            assert_near(&values, &decoded, block, 1.01 / 8.0)?;
            for (values, decoded) in values.chunks(block).zip(decoded.chunks(block)) {
                if values.iter().any(|value| !value.is_finite()) {
                    prop_assert!(decoded.iter().any(|value| !value.is_finite()));
                }
            }
            let this = (codes, half_bits(&scales));
            prop_assert_eq!(first.get_or_insert_with(|| this.clone()), &this);
        }
    }

    #[test]
    fn decoded_rows_are_what_the_rows_stand_for(
        kept in prop::sample::select(KEPT.as_slice()), size in 1..140usize, beside in 0..3usize,
        rows in 0..10usize, seed: u64,
    ) {
        let width = kept.width(size);
        let stored = Owned::new(&mut Sample(seed), kept, rows, width + beside * kept.block());
        for kernels in tables() {
            let mut out = vec![f32::NAN; rows * width];
            kernels.decode_rows(stored.rows(), width, &mut out);
            for (index, &got) in out.iter().enumerate() {
                let exact = stored.element(index / width, index % width);
                prop_assert_eq!(f64::from(got), exact, "{:?}, element {}", kernels, index);
            }
        }
    }

    #[test]
    fn a_hadamard_rotation_is_the_matrix_and_its_own_inverse(
        seed: u64, power in 0..9u32, groups in 1..6usize,
    ) {
        let group = 1usize << power;
        let x = Sample(seed).floats(groups * group);
        let mut first: Option<Vec<u32>> = None;
        for kernels in tables() {
            let mut got = x.clone();
            kernels.hadamard(&mut got, group);
            prop_assert_eq!(first.get_or_insert_with(|| bits(&got)), &bits(&got), "{:?}", kernels);
            for (got, x) in got.chunks_exact(group).zip(x.chunks_exact(group)) {
                for (row, got) in got.iter().enumerate() {
                    let sign = |column: usize| 1 - 2 * ((row & column).count_ones() % 2) as i32;
                    let terms = x.iter().enumerate().map(|(column, x)| f64::from(sign(column)) * f64::from(*x));
                    let exact = terms.sum::<f64>() / (group as f64).sqrt();
                    prop_assert!((f64::from(*got) - exact).abs() <= 1e-5);
                }
            }
            kernels.hadamard(&mut got, group);
            prop_assert!(got.iter().zip(&x).all(|(got, x)| (got - x).abs() <= 1e-5));
        }
    }
}
