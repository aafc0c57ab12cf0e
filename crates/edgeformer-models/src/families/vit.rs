use edgeformer_core::graph::{GraphBuilder, GraphInput, OutputKind, Pool, Unfold, Value};
use edgeformer_core::{Graph, Result};

use super::bert::bidirectional;
use crate::hyper::Vision;

/// Vision Transformer (arXiv 2010.11929): patches behind a class token, pre-norm blocks. With a
/// classifier the output is the score of each class, without one the hidden state of each patch.
pub(super) fn graph(vision: &Vision) -> Result<Graph> {
    let &Vision { channels, image: size, patch, width, norm_eps: eps, .. } = vision;
    let mut b = GraphBuilder::new("vit", GraphInput::Pixels { channels, size });
    let unfold = Unfold { channels, size, kernel: patch, stride: patch, padding: [0, 0] };
    // Graph inference refuses an image without a patch; zero rows never get that far.
    let patches = unfold.patches().map_or(0, |[down, across]| down * across);
    let x = b.unfold(unfold)?;
    let x = b.linear(x, "v.patch_embd", width, true)?;
    let x = b.prepend(x, "v.class_embd", 1)?;
    let mut x = b.position(x, "v.position_embd.weight", patches + 1, 0)?;
    for layer in 0..vision.layers {
        let normed = b.layer_norm(x, &blk(layer, "ln1"), eps)?;
        let attended = attention(&mut b, vision, layer, normed)?;
        x = b.add(x, attended)?;

        let normed = b.layer_norm(x, &blk(layer, "ln2"), eps)?;
        let inner = b.linear(normed, &blk(layer, "ffn_up"), vision.feed.width, true)?;
        let inner = b.activation(inner, vision.feed.activation)?;
        let fed = b.linear(inner, &blk(layer, "ffn_down"), width, true)?;
        x = b.add(x, fed)?;
    }
    let x = b.layer_norm(x, "v.post_ln", eps)?;
    let Some(classes) = vision.classes else { return b.finish(OutputKind::HiddenStates, x) };
    let class = b.pool(x, Pool::Class)?;
    let scores = b.linear(class, "cls.output", classes, true)?;
    b.finish(OutputKind::ClassScores, scores)
}

fn blk(layer: usize, name: &str) -> String {
    format!("v.blk.{layer}.{name}")
}

fn attention(b: &mut GraphBuilder, vision: &Vision, layer: usize, x: Value) -> Result<Value> {
    let (width, bias) = (vision.width, vision.input_bias);
    let q = b.linear(x, &blk(layer, "attn_q"), width, bias)?;
    let k = b.linear(x, &blk(layer, "attn_k"), width, bias)?;
    let v = b.linear(x, &blk(layer, "attn_v"), width, bias)?;
    let attended = b.attention(q, k, v, bidirectional(vision.heads, width))?;
    b.linear(attended, &blk(layer, "attn_out"), width, true)
}
