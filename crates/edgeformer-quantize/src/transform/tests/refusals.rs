//! What is refused, and how.

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::LazyTensor;
use edgeformer_models::hyper::Family;

use super::small;
use crate::transform::fold::foldables;
use crate::transform::rotate::{RotateOptions, rotate};
use crate::transform::scale::fold_scales;
use crate::transform::smooth::smooth;

#[test]
fn streams_that_cannot_be_rotated_are_refused() {
    let error = |small: small::Small| {
        rotate(&mut small.checkpoint(), &RotateOptions::default()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(error(small::gemma("gemma2", Family::Gemma2)), @"small.gguf: gemma2 has norms between its halves and the residual stream: their weights cannot be moved through a rotation. Use AWQ or SmoothQuant, or rotate values alone");
    let mut all = small::all();
    insta::assert_snapshot!(error(all.remove(9)), @"small.gguf: gpt2 has layer norms, which take away the mean of the channels: a rotated stream has another mean. Use AWQ or SmoothQuant, or rotate values alone");
    let mut twice = small::llama().checkpoint();
    rotate(&mut twice, &RotateOptions::default()).unwrap();
    let error = rotate(&mut twice, &RotateOptions::default()).unwrap_err();
    insta::assert_snapshot!(error, @"small.gguf: llama is rotated already: rotate the original");
}

#[test]
fn what_is_unknown_is_refused() {
    let mut checkpoint = small::llama().checkpoint();
    let extra = Tensor::from_f32([2, 2], &[0.0; 4]).unwrap();
    checkpoint.tensors.push(LazyTensor::ready("blk.0.attn_sinks.weight", extra));
    insta::assert_snapshot!(foldables(&checkpoint).unwrap_err(), @r#"tensor "blk.0.attn_sinks.weight": it is not known what it reads: quantize the model without scaling and rotation"#);
    checkpoint.set("general.architecture", "mamba");
    insta::assert_snapshot!(foldables(&checkpoint).unwrap_err(), @r#"small.gguf: it is not known which tensors of architecture "mamba" read which norms: quantize it without scaling and rotation"#);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let mut checkpoint = small::llama().checkpoint();
    checkpoint.set("llama.attention.head_count_kv", 4u32);
    insta::assert_snapshot!(foldables(&checkpoint).unwrap_err(), @r#"tensor "blk.0.attn_v.weight": has 12 rows, the metadata make it 24: convert the model again"#);
    checkpoint.set("llama.attention.head_count_kv", 3u32);
    insta::assert_snapshot!(foldables(&checkpoint).unwrap_err(), @"small.gguf: 3 key-value heads do not divide 4 heads");
}

#[test]
fn scales_are_positive_and_one_a_channel() {
    let mut checkpoint = small::llama().checkpoint();
    let pair = foldables(&checkpoint).unwrap().remove(0);
    let error = fold_scales(&mut checkpoint, &pair, &[1.0; 23]).unwrap_err();
    insta::assert_snapshot!(error, @r#"tensor "blk.0.attn_norm.weight": 23 scales for 24 channels, each must be positive"#);
    assert!(fold_scales(&mut checkpoint, &pair, &[0.0; 24]).is_err());
}

#[test]
fn smoothing_needs_largest_inputs() {
    let mut checkpoint = small::llama().checkpoint();
    let mut imatrix = small::imatrix(&checkpoint);
    assert!(smooth(&mut checkpoint, &mut imatrix, 1.5).is_err());
    imatrix.entries.values_mut().for_each(|entry| entry.largest.clear());
    let error = smooth(&mut checkpoint, &mut imatrix, 0.5).unwrap_err();
    insta::assert_snapshot!(error, @"the importance matrix has no largest inputs, which smoothing needs: make one with edgeformer calibrate");
}
