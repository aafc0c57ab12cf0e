use proptest::prelude::*;

use super::sample::Sample;
use super::tables;
use crate::kernels::Affine;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn assert_near(got: f32, exact: f64, size: f64) -> Result<(), TestCaseError> {
    let bound = 1e-6 * size + 1e-30;
    prop_assert!((f64::from(got) - exact).abs() <= bound, "{got} is not {exact}");
    Ok(())
}

proptest! {
    #[test]
    fn norms(
        seed: u64, len in 1..300usize, weighted: bool, biased: bool,
        mean in prop::sample::select([0.0f32, 1.0, -30.0].as_slice()),
    ) {
        let mut sample = Sample(seed);
        let x: Vec<_> = sample.floats(len).iter().map(|x| x + mean).collect();
        let (weight, bias) = (sample.floats(len), sample.floats(len));
        let affine = Affine {
            weight: weighted.then_some(weight.as_slice()),
            bias: biased.then_some(bias.as_slice()),
            offset: 1.0,
        };
        let (wide, count) = (wide(&x), len as f64);
        let finish = |i: usize, value: f64| {
            let weight = if weighted { f64::from(weight[i]) + 1.0 } else { 1.0 };
            value * weight + if biased { f64::from(bias[i]) } else { 0.0 }
        };
        for kernels in tables() {
            let mut out = vec![f32::NAN; len];
            kernels.rms_norm(&x, &affine, 1e-5, &mut out);
            let root = (wide.iter().map(|x| x * x).sum::<f64>() / count + 1e-5).sqrt();
            for (i, &out) in out.iter().enumerate() {
                assert_near(out, finish(i, wide[i] / root), 4.0)?;
            }
            kernels.layer_norm(&x, &affine, 1e-2, &mut out);
            let mean = wide.iter().sum::<f64>() / count;
            let variance = wide.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
            for (i, &out) in out.iter().enumerate() {
                let exact = finish(i, (wide[i] - mean) / (variance + 1e-2).sqrt());
                // The rounding of a mean far from zero is magnified by what it is divided by.
                assert_near(out, exact, 4.0 + 10.0 * mean.abs())?;
            }
        }
    }

    #[test]
    fn softmax_is_a_distribution(seed: u64, len in 1..300usize, spread in 0.0f32..200.0, masked: bool) {
        let mut sample = Sample(seed);
        let mut x: Vec<_> = sample.floats(len).iter().map(|x| x * spread).collect();
        if masked && len > 1 {
            x[len / 2] = f32::NEG_INFINITY;
        }
        let wide = wide(&x);
        let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = wide.iter().map(|x| (x - max).exp()).sum();
        for kernels in tables() {
            let mut got = x.clone();
            kernels.softmax(&mut got);
            for (got, x) in got.iter().zip(&wide) {
                let exact = (x - max).exp() / sum;
                // The difference to the maximum is rounded before it is an exponent.
                assert_near(*got, exact, exact * (1.0 + (max - x).min(200.0) / 8.0) + 1e-30)?;
            }
        }
    }

    #[test]
    fn axpys(seed: u64, len in 0..100usize, alpha in -2.0f32..2.0) {
        let mut sample = Sample(seed);
        let (x, y) = (sample.floats(len), sample.floats(len));
        for kernels in tables() {
            let mut got = y.clone();
            kernels.axpy_f32(alpha, &x, &mut got);
            for i in 0..len {
                assert_near(got[i], f64::from(y[i]) + f64::from(alpha) * f64::from(x[i]), 3.0)?;
            }
        }
    }
}
