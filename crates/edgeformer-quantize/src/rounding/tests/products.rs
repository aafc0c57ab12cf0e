//! GPTQ: the error of products with inputs.

use super::*;

/// Inputs of which neighbours are alike: each is a mix of few causes and a little of its own.
fn inputs(count: usize, cols: usize, causes: usize, own: f32) -> Vec<f32> {
    let mix = normal(cols * causes, 11);
    let hidden = normal(count * causes, 12);
    let noise = normal(count * cols, 13);
    let value = |row: usize, col: usize| {
        let causes = (0..causes).map(|k| hidden[row * causes + k] * mix[col * causes + k]);
        causes.sum::<f32>() + own * noise[row * cols + col]
    };
    (0..count * cols).map(|i| value(i / cols, i % cols)).collect()
}

fn hessian(cols: usize, block: usize, inputs: &[f32]) -> Hessian {
    let mut hessian = Hessian::new(cols, block);
    hessian.add_rows(inputs).unwrap();
    hessian
}

/// The sum of squared errors of the products with inputs.
fn loss(format: Format, bytes: &[u8], weights: &[f32], cols: usize, inputs: &[f32]) -> f64 {
    let errors: Vec<f32> = decoded(format, bytes).iter().zip(weights).map(|(a, b)| a - b).collect();
    let product =
        |row: &[f32], input: &[f32]| row.iter().zip(input).map(|(a, b)| a * b).sum::<f32>();
    let rows = errors.chunks_exact(cols);
    let losses =
        rows.flat_map(|row| inputs.chunks_exact(cols).map(move |input| product(row, input)));
    losses.map(|loss| f64::from(loss).powi(2)).sum()
}

#[test]
fn gptq_loses_less_than_plain_rounding() {
    const COLS: usize = 512;
    let weights = normal(24 * COLS, 5);
    let inputs = inputs(700, COLS, 40, 0.3);
    let hessian = hessian(COLS, 0, &inputs);
    let stats = InputStats { importance: None, hessian: Some(&hessian) };
    let plain = Method::KQuant { objective: Objective::Error };
    for format in Format::ALL.into_iter().filter(|format| !format.is_float()) {
        let rounded =
            |method: &Method| round_matrix(&weights, COLS, format, method, &stats, 2).unwrap();
        let lost = |method: &Method| loss(format, &rounded(method), &weights, COLS, &inputs);
        let base = lost(&plain);
        let ratio =
            |order, refine| lost(&Method::Gptq(Gptq { order, refine, ..Gptq::default() })) / base;
        let ratios = [
            ratio(Order::Natural, 0),
            ratio(Order::Activation, 0),
            ratio(Order::Natural, 4),
            ratio(Order::Activation, 4),
        ];
        eprintln!("{format:?} {ratios:.3?}");
        assert!(ratios.iter().all(|&ratio| ratio < 0.7), "{format}: {ratios:?}");
    }
}
