//! The parts of an adapter under a model's names, rows where the model's files have them.

use std::collections::BTreeMap;

use edgeformer_core::{Adapter, LowRank, Tensor};

use super::{AdapterFile, AdapterSource, Layout};
use crate::checkpoint::{Move, architecture, split_up};
use crate::error::quote;
use crate::hf_config::names;
use crate::hyper::{Hyper, Latent};
use crate::{Error, Result};

/// The shape of a weight of the model, `None` where it has none of that name.
type Shapes<'a> = dyn Fn(&str) -> Option<Vec<usize>> + 'a;

/// The adapter for a model.
///
/// # Errors
/// If it is for another architecture, or a module is none of the model's.
pub(super) fn placed(
    file: &AdapterFile,
    hyper: &Hyper,
    layout: Layout,
    shapes: &Shapes<'_>,
) -> Result<Adapter> {
    let name = file.path.display().to_string();
    let (pairs, from) = match &file.source {
        AdapterSource::Peft => (by_modules(file, hyper, shapes)?, Layout::HuggingFace),
        AdapterSource::Gguf { architecture: found } => {
            let needed = architecture(hyper.family());
            if found != needed {
                let problem = format!(
                    "is {}, the model's is {needed}: it belongs to another model",
                    quote(found)
                );
                return Err(Error::format(&file.path, "key \"general.architecture\"", problem));
            }
            let pairs = file.parts.iter().map(|part| (part.name.clone(), part.pair.clone()));
            (pairs.collect(), Layout::Gguf)
        }
    };
    let adapter = Adapter { name, pairs, backings: file.backings.clone() };
    let fits =
        |name: &str, pair: &LowRank| shapes(name).is_some_and(|shape| pair.check(&shape).is_ok());
    let moved = moved(&adapter, hyper, from, layout, &fits)
        .map_err(|source| Error::Core { path: file.path.clone(), source })?;
    match (layout, hyper) {
        (Layout::Gguf, Hyper::Decoder(decoder)) => match decoder.latent {
            Some(latent) => halved(moved, &latent, shapes)
                .map_err(|source| Error::Core { path: file.path.clone(), source }),
            None => Ok(moved),
        },
        _ => Ok(moved),
    }
}

/// An adapter of a model in one layout, for the same model in another.
pub(super) fn to_layout(
    adapter: &Adapter,
    hyper: &Hyper,
    from: Layout,
    to: Layout,
) -> edgeformer_core::Result<Adapter> {
    moved(adapter, hyper, from, to, &|_, _| true)
}

/// Rows of `B` moved as those of the weight are. What does not `fit` is left alone: that is told
/// where the adapter meets the model.
fn moved(
    adapter: &Adapter,
    hyper: &Hyper,
    from: Layout,
    to: Layout,
    fits: &dyn Fn(&str, &LowRank) -> bool,
) -> edgeformer_core::Result<Adapter> {
    let mut moved = adapter.clone();
    for (name, pair) in moved.pairs.iter_mut().filter(|(name, pair)| fits(name, pair)) {
        let change = Move::of(hyper, name);
        pair.b = match (from, to) {
            (Layout::HuggingFace, Layout::Gguf) => change.to_gguf(pair.b.clone())?,
            (Layout::Gguf, Layout::HuggingFace) => change.to_hf(pair.b.clone())?,
            _ => continue,
        };
    }
    Ok(moved)
}

/// One matrix, or those of some experts.
#[derive(Default)]
struct Found {
    whole: Option<LowRank>,
    experts: BTreeMap<usize, LowRank>,
}

/// The parts of a folder of `peft` under the graph's names.
fn by_modules(
    file: &AdapterFile,
    hyper: &Hyper,
    shapes: &Shapes<'_>,
) -> Result<BTreeMap<String, LowRank>> {
    let names = names(hyper.family());
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for part in &file.parts {
        let (name, expert) = names.weight_of_module(&part.name).ok_or_else(|| {
            let family = hyper.family().name();
            file.error(
                &part.name,
                format!("is no module of {family} models: it belongs to another"),
            )
        })?;
        let found = found.entry(name).or_default();
        match expert {
            Some(expert) => drop(found.experts.insert(expert, part.pair.clone())),
            None => found.whole = Some(part.pair.clone()),
        }
    }
    let pair = |(name, found): (String, Found)| {
        let pair = match found.whole {
            Some(pair) => pair,
            None => stacked(&found.experts, shapes(&name))
                .map_err(|problem| file.error(&name, problem))?,
        };
        Ok((name, pair))
    };
    found.into_iter().map(pair).collect()
}

/// The matrices of experts in one stack, zeros for those that have none.
fn stacked(
    experts: &BTreeMap<usize, LowRank>,
    shape: Option<Vec<usize>>,
) -> Result<LowRank, String> {
    let other = || "the model has no such experts: it belongs to another".to_owned();
    let Some(&[count, out, columns]) = shape.as_deref() else { return Err(other()) };
    let rank = experts.values().next().map_or(1, LowRank::rank);
    if experts.keys().any(|&expert| expert >= count) {
        return Err(other());
    }
    for pair in experts.values() {
        pair.check(&[out, columns])?;
        if pair.rank() != rank {
            return Err("its experts have different ranks, which is not read".into());
        }
    }
    let stack = |shape: [usize; 3], values: &dyn Fn(&LowRank) -> Vec<f32>| {
        let zeros = vec![0.0; shape[1] * shape[2]];
        let all: Vec<f32> = (0..count)
            .flat_map(|expert| experts.get(&expert).map_or_else(|| zeros.clone(), values))
            .collect();
        Tensor::from_f32(shape, &all).map_err(|error| error.to_string())
    };
    let scaled = |pair: &LowRank| pair.b.to_f32().into_iter().map(|b| b * pair.scale).collect();
    Ok(LowRank {
        a: stack([count, rank, columns], &|pair| pair.a.to_f32())?,
        b: stack([count, out, rank], &scaled)?,
        scale: 1.0,
    })
}

/// Up-projections of latents that the model's file holds in halves: keys transposed, then values.
fn halved(
    mut adapter: Adapter,
    latent: &Latent,
    shapes: &Shapes<'_>,
) -> edgeformer_core::Result<Adapter> {
    let wholes: Vec<String> = adapter
        .pairs
        .keys()
        .filter(|name| name.ends_with(".attn_kv_b.weight") && shapes(name).is_none())
        .cloned()
        .collect();
    for whole in wholes {
        let [key, value] = ["attn_k_b", "attn_v_b"].map(|half| whole.replace("attn_kv_b", half));
        let Some(&[heads, ..]) = shapes(&key).as_deref() else { continue };
        let Some(pair) = adapter.pairs.get(&whole) else { continue };
        if pair.check(&[heads * (latent.nope_dim + latent.value_dim), latent.rank]).is_err() {
            continue;
        }
        let halves = [true, false].map(|keys| half(pair, latent, heads, keys));
        adapter.pairs.remove(&whole);
        for (name, half) in [key, value].into_iter().zip(halves) {
            adapter.pairs.insert(name, half?);
        }
    }
    Ok(adapter)
}

/// One half of an up-projection's pair, a matrix a head: `(B_k A)ᵀ = Aᵀ B_kᵀ`, and `B_v A`.
fn half(
    pair: &LowRank,
    latent: &Latent,
    heads: usize,
    keys: bool,
) -> edgeformer_core::Result<LowRank> {
    let rank = pair.rank();
    let float = |tensor: &Tensor| Tensor::from_f32(tensor.shape(), &tensor.to_f32());
    let (a, b) = (float(&pair.a)?, float(&pair.b)?);
    let rows = split_up(&b, &Latent { rank, ..*latent }, keys)?;
    let shared = if keys { crate::hf_config::transpose(&a)? } else { a };
    let shape = [&[heads], shared.shape()].concat();
    let shared = Tensor::new(shared.format(), shape, shared.bytes().repeat(heads).into())?;
    let (a, b) = if keys { (rows, shared) } else { (shared, rows) };
    Ok(LowRank { a, b, scale: pair.scale })
}
