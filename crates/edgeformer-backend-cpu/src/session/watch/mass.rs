//! Attention by distance.

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{AttentionMass, Error, Graph, Op, Result, SlotMass};

use super::Gathers;

/// Query heads of every caching attention op, by slot.
pub(super) fn heads(graph: &Graph) -> impl Iterator<Item = usize> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Attention(attention) if attention.slot.is_some() => Some(attention.heads),
        Op::LatentAttention(attention) => Some(attention.heads),
        _ => None,
    })
}

/// No attention yet, on distances below `context`.
pub(super) fn empty(graph: &Graph, context: usize) -> Result<AttentionMass> {
    let slots = heads(graph).map(|heads| {
        let mut by_distance = Vec::new();
        by_distance.try_reserve_exact(heads.saturating_mul(context)).map_err(|_| {
            Error::Config(format!("no memory to observe a context of {context}: lower it"))
        })?;
        by_distance.resize(heads * context, 0.0);
        Ok(SlotMass { heads, by_distance })
    });
    Ok(AttentionMass { slots: slots.collect::<Result<_>>()? })
}

pub(super) fn gather(
    mass: &mut AttentionMass,
    sinks: usize,
    slot: CacheSlot,
    block: usize,
) -> Gathers<'_> {
    let SlotMass { heads, by_distance } = &mut mass.slots[slot.0 as usize];
    let context = by_distance.len() / *heads;
    Gathers::Mass { blocks: by_distance.chunks_mut(block * context), context, sinks }
}
