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
        assert!(ratios.iter().all(|&ratio| ratio < 0.7), "{format}: {ratios:?}");
    }
}

#[test]
fn gptq_never_loses_more_than_plain_rounding() {
    const COLS: usize = 256;
    let weights = normal(70 * COLS, 5);
    // Inputs that have nothing to do with each other, and fewer than there are columns.
    let inputs = normal(200 * COLS, 12);
    let hessian = hessian(COLS, 0, &inputs);
    let stats = InputStats { importance: None, hessian: Some(&hessian) };
    let plain = Method::KQuant { objective: Objective::Error };
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1, Format::Q3K, Format::Q4K] {
        let lost = |method: &Method| {
            let bytes = round_matrix(&weights, COLS, format, method, &stats, 2).unwrap();
            loss(format, &bytes, &weights, COLS, &inputs)
        };
        let base = lost(&plain);
        for order in [Order::Natural, Order::Activation] {
            let fed = lost(&Method::Gptq(Gptq { order, refine: 0, ..Gptq::default() }));
            let refined = lost(&Method::Gptq(Gptq { order, refine: 3, ..Gptq::default() }));
            assert!(fed <= base * 1.0001, "{format} {order:?}: {}", fed / base);
            assert!(refined <= fed * 1.0001, "{format} {order:?}: {}", refined / fed);
        }
    }
}

#[test]
fn blocks_of_the_hessian_stand_for_themselves() {
    const COLS: usize = 512;
    let weights = normal(8 * COLS, 5);
    let inputs = inputs(300, COLS, 20, 0.3);
    let half = |all: &[f32], side: usize| -> Vec<f32> {
        all.chunks_exact(256).skip(side).step_by(2).flatten().copied().collect()
    };
    let gptq = Method::Gptq(Gptq::default());
    let round = |weights: &[f32], cols: usize, hessian: &Hessian| {
        let stats = InputStats { importance: None, hessian: Some(hessian) };
        round_matrix(weights, cols, Format::Q4K, &gptq, &stats, 1).unwrap()
    };
    let whole = round(&weights, COLS, &hessian(COLS, 256, &inputs));
    for side in [0, 1] {
        let alone = round(&half(&weights, side), 256, &hessian(256, 0, &half(&inputs, side)));
        let blocks = whole.chunks_exact(144).skip(side).step_by(2);
        assert!(blocks.eq(alone.chunks_exact(144)), "{side}");
    }
}
