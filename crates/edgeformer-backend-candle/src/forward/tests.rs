//! Fused ops beside what they are composed of.

use candle_core::{Device, Tensor, Var};
use edgeformer_core::graph::RopeLayout;
use proptest::prelude::*;

use super::fused::{Span, Turning, WholeAttention};

/// Two results are the same, and so are the gradients of a sum in which every element counts
/// differently.
pub(super) fn assert_same(ours: &Tensor, plain: &Tensor, variables: &[&Var], tolerance: f32) {
    assert_eq!(ours.dims(), plain.dims());
    assert_close(ours, plain, tolerance, "the result");
    let weights = Tensor::randn(0f32, 1.0, ours.shape(), &Device::Cpu).unwrap();
    let gradients =
        [ours, plain].map(|made| (made * &weights).unwrap().sum_all().unwrap().backward().unwrap());
    for (index, variable) in variables.iter().enumerate() {
        let [ours, plain] = [0, 1].map(|side| gradients[side].get(variable.as_tensor()).unwrap());
        assert_close(ours, plain, tolerance, &format!("gradient {index}"));
    }
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f32, what: &str) {
    let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    let apart = norm(&(a - b).unwrap()) / norm(b).max(1e-6);
    assert!(apart < tolerance, "{what} is {apart} away");
}

fn variable(shape: (usize, usize)) -> Var {
    Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Attention of one query head over one key head, as its definition says.
fn plainly(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    op: &WholeAttention,
    head: usize,
    span: &Span,
) -> Tensor {
    let (count, asked) = (span.rows.len(), span.queries.clone());
    let mask = asked.clone().flat_map(|query| (0..count).map(move |key| (query, key)));
    let mask: Vec<f32> = mask
        .map(|(query, key)| {
            let Some(windows) = &op.windows else { return 0.0 };
            let window = windows[if windows.len() == 1 { 0 } else { head }];
            let seen = key <= query && window.is_none_or(|window| key + window > query);
            if seen { 0.0 } else { f32::NEG_INFINITY }
        })
        .collect();
    let mask = Tensor::from_vec(mask, (asked.len(), count), &Device::Cpu).unwrap();
    let q = q.narrow(0, asked.start, asked.len()).unwrap();
    let scores = q.matmul(&k.t().unwrap()).unwrap().affine(f64::from(op.scale), 0.0).unwrap();
    super::activation::softmax(&(scores + mask).unwrap()).unwrap().matmul(v).unwrap()
}

/// All heads of all spans.
fn composed(q: &Tensor, k: &Tensor, v: &Tensor, op: &WholeAttention) -> Tensor {
    let (of_key, of_value) = (q.dim(1).unwrap() / op.heads, v.dim(1).unwrap() / op.kv_heads);
    let rows: Vec<Tensor> = op
        .spans
        .iter()
        .map(|span| {
            let part = |x: &Tensor, dim: usize, head: usize| {
                let rows = x.narrow(0, span.rows.start, span.rows.len()).unwrap();
                rows.narrow(1, head * dim, dim).unwrap().contiguous().unwrap()
            };
            let head = |head: usize| {
                let group = head / (op.heads / op.kv_heads);
                let (k, v) = (part(k, of_key, group), part(v, of_value, group));
                plainly(&part(q, of_key, head), &k, &v, op, head, span)
            };
            Tensor::cat(&(0..op.heads).map(head).collect::<Vec<_>>(), 1).unwrap()
        })
        .collect();
    Tensor::cat(&rows, 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn attention_is_its_definition(
        lengths in prop::collection::vec((1usize..200, 0.0f64..1.0), 1..4),
        kv_heads in 1usize..3,
        shared in 1usize..4,
        [of_key, of_value] in [1usize..9, 1usize..9],
        windows in prop_oneof![
            Just(None),
            Just(Some(vec![None])),
            prop::option::of(1usize..60).prop_map(|window| Some(vec![window])),
            Just(Some(vec![])),
        ],
    ) {
        let heads = kv_heads * shared;
        // An empty list stands for one window a head.
        let windows = windows.map(|windows| match windows.is_empty() {
            true => (0..heads).map(|head| (head > 0).then_some(7 * head)).collect(),
            false => windows,
        });
        let mut start = 0;
        let spans: Vec<Span> = lengths
            .iter()
            .map(|&(length, from)| {
                let rows = start..start + length;
                start = rows.end;
                Span { rows, queries: (from * length as f64) as usize..length }
            })
            .collect();
        let q = variable((start, heads * of_key));
        let k = variable((start, kv_heads * of_key));
        let v = variable((start, kv_heads * of_value));
        let op = WholeAttention { spans, heads, kv_heads, scale: 0.4, windows };
        let plain = composed(&q, &k, &v, &op);
        let ours = q.apply_op3(&k, &v, op).unwrap();
        assert_same(&ours, &plain, &[&q, &k, &v], 1e-4);
    }

    #[test]
    fn turning_back_undoes_turning(
        rows in 1usize..70, heads in 1usize..4, pairs in 1usize..5, rest in 0usize..3,
        interleaved in any::<bool>(),
    ) {
        let layout = if interleaved { RopeLayout::Interleaved } else { RopeLayout::Halves };
        let x = variable((rows, heads * (2 * pairs + rest)));
        let angles = Tensor::randn(0f32, 2.0, (rows, 1, pairs), &Device::Cpu).unwrap();
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let turning = Turning { heads, pairs, layout };
        let turned = x.apply_op3(&cos, &sin, turning).unwrap();
        // The gradient of a product with what was turned is what was there before.
        let loss = (&turned * turned.detach()).unwrap().sum_all().unwrap();
        let back = loss.backward().unwrap().remove(&x).unwrap();
        assert_close(&back, &x, 1e-5, "what was turned there and back");
    }
}
