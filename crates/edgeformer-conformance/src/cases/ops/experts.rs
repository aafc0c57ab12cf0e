//! Mixtures of experts.

use std::sync::Arc;

use edgeformer_core::graph::{Activation, ExpertGroups, Experts, Graph, Scoring, WeightId};
use edgeformer_core::{Format, Model, Result, Tensor, Weight};

use super::super::graphs::{WIDTH, decoder_around};
use super::{FLOAT, check_text, text};
use crate::random::random_model;
use crate::suite::{Case, Group};

const COUNT: usize = 8;
const INNER: usize = 24;

pub(super) fn cases() -> Vec<Case> {
    vec![
        text("experts-softmax", || layer(plain(), false)),
        text("experts-normalised", || layer(Experts { normalise: true, ..plain() }, false)),
        text("experts-one", || layer(Experts { top_k: 1, scale: 2.5, ..plain() }, false)),
        text("experts-all", || {
            layer(Experts { top_k: COUNT, activation: Activation::Gelu, ..plain() }, false)
        }),
        text("experts-group-maximum", || {
            let groups = Some(ExpertGroups { count: 4, top: 2, scored_by: 1 });
            layer(Experts { groups, top_k: 3, scale: 1.5, ..plain() }, false)
        }),
        text("experts-sigmoid-bias-groups", sigmoid_groups),
        Case::new(Group::Ops, "ops/experts-apart", |bench| {
            check_text(bench, Arc::new(apart()?), FLOAT)
        }),
    ]
}

fn plain() -> Experts {
    // The weights are declared by `layer`.
    let undeclared = WeightId(0);
    Experts {
        count: COUNT,
        top_k: 2,
        width: INNER,
        router: undeclared,
        scoring: Scoring::Softmax,
        selection_bias: None,
        groups: None,
        normalise: false,
        scale: 1.0,
        gate: undeclared,
        up: undeclared,
        down: undeclared,
        activation: Activation::Silu,
    }
}

/// DeepSeek-V3's routing.
fn sigmoid_groups() -> Result<Graph> {
    let groups = Some(ExpertGroups { count: 4, top: 2, scored_by: 2 });
    let (scoring, scale) = (Scoring::Sigmoid, 2.5);
    layer(Experts { scoring, groups, top_k: 3, normalise: true, scale, ..plain() }, true)
}

fn layer(mut experts: Experts, bias: bool) -> Result<Graph> {
    decoder_around(|b, x| {
        let h = b.rms_norm(x, "experts.norm", 1e-5, 0.0)?;
        experts.router = b.weight("router.weight", &[COUNT, WIDTH])?;
        experts.gate = b.weight("gate_exps.weight", &[COUNT, INNER, WIDTH])?;
        experts.up = b.weight("up_exps.weight", &[COUNT, INNER, WIDTH])?;
        experts.down = b.weight("down_exps.weight", &[COUNT, WIDTH, INNER])?;
        if bias {
            experts.selection_bias = Some(b.weight("exp_probs_b.bias", &[COUNT])?);
        }
        let out = b.experts(h, experts)?;
        b.add(x, out)
    })
}

/// Every expert a tensor of its own, as Hugging Face keeps them.
fn apart() -> Result<Model> {
    let mut model = random_model(layer(plain(), false)?, 1, |_| Format::F32)?;
    for name in ["gate_exps.weight", "up_exps.weight", "down_exps.weight"] {
        let weight = model.weights.get(name)?;
        let shape = weight.shape()[1..].to_vec();
        let values = weight.to_f32();
        let parts = values
            .chunks(shape.iter().product())
            .map(|values| Tensor::from_f32(shape.clone(), values))
            .collect::<Result<_>>()?;
        model.weights.insert(name, Weight::stacked(name, parts)?);
    }
    Ok(model)
}
