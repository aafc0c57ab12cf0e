use edgeformer_core::{Format, Rows};
use proptest::prelude::*;

use super::sample::Sample;
use super::{Form, assert_same_bits, forms, product, tables};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_are_exact_but_for_f32_roundings(
        format in prop::sample::select([Format::F32, Format::F16, Format::BF16].as_slice()),
        columns in prop_oneof![1..40usize, 500..1100usize], rows in 1..40usize, tokens in 1..8usize,
        seed: u64,
    ) {
        let mut sample = Sample(seed);
        let (x, values) = (sample.floats(tokens * columns), sample.floats(rows * columns));
        let mut weights = vec![0; values.len() * format.block_bytes()];
        format.quantize(&values, &mut weights).unwrap();
        let mut decoded = vec![0.0; values.len()];
        format.dequantize(&weights, &mut decoded).unwrap();
        let cases = tables()
            .flat_map(|kernels| forms(kernels, format, columns).map(move |form| (kernels, form)));
        for (kernels, form) in cases {
            let got = product(kernels, format, form, &weights, Rows::new(&x, columns), rows);
            for (token, x) in x.chunks_exact(columns).enumerate() {
                for (row, weights) in decoded.chunks_exact(columns).enumerate() {
                    let pairs = || weights.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x));
                    let exact: f64 = pairs().sum();
                    let size: f64 = pairs().map(f64::abs).sum();
                    // The longest chain of additions: an eighth of the columns in lanes, 256 in
                    // panels.
                    let chain = match form {
                        Form::Rows => columns / 8 + 5,
                        Form::Panels => columns.min(256) + columns / 256 + 1,
                    };
                    let bound = chain as f64 * f64::from(f32::EPSILON) * size;
                    let got = f64::from(got[token * rows + row]);
                    prop_assert!((got - exact).abs() <= bound, "{kernels:?} {form:?}: {got} is not {exact}");
                }
            }
        }
    }

    #[test]
    fn a_result_depends_on_its_row_and_token_alone(
        format in prop::sample::select([Format::F32, Format::F16, Format::BF16].as_slice()),
        columns in prop_oneof![1..40usize, 500..1100usize], rows in 1..40usize, tokens in 1..70usize,
        seed: u64,
    ) {
        let mut sample = Sample(seed);
        let (x, values) = (sample.floats(tokens * columns), sample.floats(rows * columns));
        let mut weights = vec![0; values.len() * format.block_bytes()];
        format.quantize(&values, &mut weights).unwrap();
        for kernels in tables() {
            assert_same_bits(kernels, format, &weights, Rows::new(&x, columns), rows);
        }
    }
}
