//! What cannot be converted, and what the message says.

use edgeformer_core::Tensor;
use edgeformer_models::checkpoint::{Checkpoint, LazyTensor};
use edgeformer_quantize::attention::{
    Align, AttentionCalibration, GqaOptions, LatentNorm, MlaOptions, gqa, mla,
};
use nalgebra::DMatrix;

use crate::support::checkpoint;
use crate::variants::renamed;

fn refused_mla(model: &Checkpoint, options: MlaOptions) -> String {
    mla(model, &options, None).unwrap_err().to_string()
}

fn refused_gqa(model: &Checkpoint, groups: usize) -> String {
    let options = GqaOptions { groups, align: Align::Procrustes };
    gqa(model, &options, None).unwrap_err().to_string()
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let Some(model) = checkpoint(crate::MODELS[0]) else { return };
    for groups in [0, 3, 8] {
        assert!(refused_gqa(&model, groups).contains("do not divide 4 key-value heads"));
    }
    for rank in [0, 33] {
        let options = MlaOptions { rank: Some(rank), rope_dims: Some(32), ..Default::default() };
        assert!(refused_mla(&model, options).contains("from 1 to 32 is possible"));
    }
    for rope_dims in [0, 7, 34] {
        let options = MlaOptions { rope_dims: Some(rope_dims), ..Default::default() };
        assert!(refused_mla(&model, options).contains("an even number from 2 to 32"));
    }
    let portable =
        MlaOptions { rope_dims: Some(6), norm: LatentNorm::Portable, ..Default::default() };
    assert!(refused_mla(&model, portable).contains("do not divide the 8 of a head"));
    let other = AttentionCalibration::new(vec![DMatrix::identity(8, 8)]).unwrap();
    let problem = mla(&model, &MlaOptions::default(), Some(&other)).unwrap_err().to_string();
    assert!(problem.contains("1 layers of width 8, the model has 5 of width 64"), "{problem}");
}

#[test]
fn attention_of_another_kind_is_refused() {
    let Some(model) = checkpoint(crate::MODELS[0]) else { return };
    let (latent, _) = mla(&model, &MlaOptions::default(), None).unwrap();
    assert!(refused_mla(&latent, MlaOptions::default()).contains("latent attention already"));
    assert!(refused_gqa(&latent, 1).contains("latent attention already"));
    let phi = renamed(model.clone(), "phi3");
    assert!(refused_gqa(&phi, 2).contains("architecture \"phi3\" is not converted"));

    let mut window = model.clone();
    window.set("llama.attention.sliding_window", 16u32);
    assert!(refused_mla(&window, MlaOptions::default()).contains("sliding windows"));
    let mut normed = renamed(model.clone(), "qwen3");
    let norm = Tensor::from_f32([8], &[1.0; 8]).unwrap();
    normed.tensors.push(LazyTensor::ready("blk.0.attn_k_norm.weight", norm));
    assert!(refused_mla(&normed, MlaOptions::default()).contains("norms of queries and keys"));
    let mut gone = model;
    gone.tensors.retain(|tensor| tensor.name() != "blk.1.attn_v.weight");
    assert!(refused_gqa(&gone, 2).contains("\"blk.1.attn_v.weight\": is missing"));
}
