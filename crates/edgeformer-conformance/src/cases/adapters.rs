//! Low-rank adapters beside a model's weights, compared with the plain model that they are merged into.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Adapter, Format, LowRank, Model, Result, Tensor, Weight};

use super::graphs::two_full_layers;
use super::ops::{FLOAT, check_text_beside};
use crate::bench::{Bench, Stop};
use crate::random::{Random, random_model};
use crate::suite::{Case, Group};

/// What activations in 8 bits may cost a model as narrow as this.
const QUANTIZED: f64 = 5e-2;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, format, adapters| {
        Case::new(Group::Ops, format!("adapters/{name}"), move |bench| {
            check(bench, format, adapters)
        })
    };
    vec![
        case("beside-f32", Format::F32, &[3]),
        case("beside-f16", Format::F16, &[3]),
        case("beside-q8_0", Format::Q8_0, &[8]),
        case("beside-q4_0", Format::Q4_0, &[8]),
        case("several", Format::F32, &[1, 4, 5]),
    ]
}

/// Adapters of these ranks, beside weights of a format.
fn check(bench: &Bench<'_>, format: Format, ranks: &[usize]) -> Result<(), Stop> {
    let format_of = |info: &WeightInfo| if adapts(info) { format } else { Format::F32 };
    let base = random_model(two_full_layers()?, 1, format_of)?;
    let (mut adapted, mut merged) = (base.clone(), base);
    for (seed, &rank) in (1..).zip(ranks) {
        let adapter = adapter(&merged, rank, seed)?;
        adapted = adapted.with_adapter(&adapter)?;
        merge(&mut merged, &adapter)?;
    }
    let limit = if format.is_float() { FLOAT } else { QUANTIZED };
    check_text_beside(bench, &Arc::new(adapted), &merged, limit)
}

/// The matrices of blocks.
fn adapts(info: &WeightInfo) -> bool {
    info.name.starts_with("blk.") && info.shape.len() == 2
}

/// An adapter for every matrix of the blocks, strong enough to change what a model says.
pub(super) fn adapter(model: &Model, rank: usize, seed: u64) -> Result<Adapter> {
    let mut random = Random::new(seed);
    let mut matrix = |shape: [usize; 2]| {
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| 0.3 * random.uniform()).collect();
        Tensor::from_f32(shape, &values)
    };
    let mut pairs = BTreeMap::new();
    for info in model.graph.weights.iter().filter(|info| adapts(info)) {
        let (a, b) = (matrix([rank, info.shape[1]])?, matrix([info.shape[0], rank])?);
        pairs.insert(info.name.clone(), LowRank { a, b, scale: 0.75 });
    }
    Ok(Adapter { name: "made".into(), pairs, backings: Vec::new() })
}

/// Adds `scale · B A` to the weights.
pub(super) fn merge(model: &mut Model, adapter: &Adapter) -> Result<()> {
    for (name, LowRank { a, b, scale }) in &adapter.pairs {
        let mut values = model.weights.get(name)?.to_f32();
        let (rows, columns) = (b.shape()[0], a.shape()[1]);
        let (a, b) = (a.to_f32(), b.to_f32());
        let rank = a.len() / columns;
        for (index, value) in values.iter_mut().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let terms = (0..rank).map(|of| b[row * rank + of] * a[of * columns + column]);
            *value += scale * terms.sum::<f32>();
        }
        let whole = Tensor::from_f32([rows, columns], &values)?;
        model.weights.insert(name.clone(), Weight::whole(whole));
    }
    Ok(())
}
