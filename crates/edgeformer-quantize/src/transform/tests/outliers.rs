//! What the changes are for: outliers.

use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};

use super::small::{self, distance, round4};
use crate::calibration::{Imatrix, ImatrixEntry};
use crate::transform::awq::{AwqOptions, awq};
use crate::transform::edit::{columns, edit, need};
use crate::transform::rotate::{RotateOptions, rotate};

/// The channel that is made large.
const OUTLIER: usize = 5;

/// A llama with a channel of the residual stream that is 40 times as large as the others: its
/// norms let it through, as norms of real models do.
fn planted() -> Checkpoint {
    let mut checkpoint = small::llama().checkpoint();
    let norms: Vec<String> = (0..2)
        .flat_map(|layer| {
            ["attn_norm", "ffn_norm"].map(|norm| format!("blk.{layer}.{norm}.weight"))
        })
        .collect();
    for norm in norms {
        edit(&mut checkpoint, &norm, |values| {
            values[OUTLIER] = 40.0;
            Ok(())
        })
        .unwrap();
    }
    checkpoint
}

/// All matrices of blocks in 4 bits, a scale a row.
fn quantized(mut checkpoint: Checkpoint) -> Checkpoint {
    let matrix =
        |tensor: &&LazyTensor| tensor.name().starts_with("blk.") && tensor.shape().len() > 1;
    let names: Vec<String> =
        checkpoint.tensors.iter().filter(matrix).map(|tensor| tensor.name().into()).collect();
    for name in names {
        let columns = columns(need(&checkpoint, &name).unwrap());
        edit(&mut checkpoint, &name, move |values| {
            values.copy_from_slice(&round4(values, columns, columns));
            Ok(())
        })
        .unwrap();
    }
    checkpoint
}

#[test]
fn awq_protects_the_channel_with_large_inputs() {
    let small = small::llama();
    let exact = small.outputs(&planted());
    let plain = distance(&exact, &small.outputs(&quantized(planted())));

    let mut checkpoint = planted();
    // What the readers of these norms would be seen to read.
    let mut sums = vec![1.0; 24];
    sums[OUTLIER] = 1600.0;
    let entry = ImatrixEntry { columns: 24, sums, counts: vec![1.0], largest: Vec::new() };
    let readers = ["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"];
    let names = (0..2).flat_map(|layer| readers.map(|part| format!("blk.{layer}.{part}.weight")));
    let mut imatrix = Imatrix {
        entries: names.map(|name| (name, entry.clone())).collect(),
        ..Imatrix::default()
    };
    let round = |_: &str, rows: &[f32], columns, _: &[f32]| Ok(round4(rows, columns, columns));
    let found = awq(&mut checkpoint, &mut imatrix, &AwqOptions::default(), &round).unwrap();
    assert_eq!(found.len(), 4, "the pairs whose inputs are known");
    for scaled in &found {
        assert!(scaled.after < 0.5 * scaled.before, "{scaled:?}");
    }
    let scaled = distance(&exact, &small.outputs(&quantized(checkpoint)));
    assert!(scaled < 0.7 * plain, "{scaled} is not clearly below {plain}");
    // The importance matrix follows: what is large is read smaller.
    let changed = &imatrix.entries["blk.0.attn_q.weight"].sums;
    assert!(changed[OUTLIER] < 1600.0 && changed[0] > 1.0);
}

#[test]
fn rotation_spreads_an_outlier_of_the_weights() {
    let small = small::llama();
    // A channel whose weights are large everywhere, and whose inputs are as small.
    let outlying = || {
        let mut checkpoint = small.checkpoint();
        for name in
            ["blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v", "blk.1.ffn_up", "blk.1.ffn_gate"]
        {
            edit(&mut checkpoint, &format!("{name}.weight"), |values| {
                values.chunks_exact_mut(24).for_each(|row| row[OUTLIER] *= 20.0);
                Ok(())
            })
            .unwrap();
        }
        checkpoint
    };
    let error = |checkpoint: &Checkpoint, name: &str| {
        let values = need(checkpoint, name).unwrap().load().unwrap().to_f32();
        let widen = |values: &[f32]| values.iter().map(|&x| x.into()).collect::<Vec<f64>>();
        distance(&widen(&values), &widen(&round4(&values, 24, 24)))
    };
    let mut rotated = outlying();
    rotate(&mut rotated, &RotateOptions::default()).unwrap();
    for name in ["blk.0.attn_q.weight", "blk.1.ffn_up.weight"] {
        let (before, after) = (error(&outlying(), name), error(&rotated, name));
        assert!(after < 0.6 * before, "{name}: {after} is not clearly below {before}");
    }
    let exact = small.outputs(&outlying());
    let plain = distance(&exact, &small.outputs(&quantized(outlying())));
    let spread = distance(&exact, &small.outputs(&quantized(rotated)));
    assert!(spread < 0.7 * plain, "{spread} is not clearly below {plain}");
}
