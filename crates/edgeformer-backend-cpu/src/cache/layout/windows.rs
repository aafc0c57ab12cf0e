//! The windows that storage is made for.

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{Error, HeadWindows, Result, Window};

/// Of every key-value head of a slot, how many positions a query sees at most: the narrower of the
/// model's window and the session's. Heads with windows of their own get whole pages, so that
/// there are few groups.
pub(super) fn of_heads(
    slot: CacheSlot,
    plan: &SlotPlan,
    page_tokens: usize,
    window: &Window,
) -> Result<Vec<Option<usize>>> {
    let heads = match *plan {
        SlotPlan::KeyValue { heads, .. } => heads,
        SlotPlan::Latent { .. } => 1,
    };
    let model = plan.window();
    let narrower = |window: usize| Some(model.map_or(window, |model| model.min(window)));
    match window {
        Window::Model => Ok(vec![model; heads]),
        &Window::Tokens(tokens) | &Window::Adaptive { most: tokens, .. } => {
            Ok(vec![narrower(tokens); heads])
        }
        Window::Heads(table) => {
            let queries = queries(slot, table, heads)?;
            let of_group = |group: &[Option<usize>]| {
                let widest = group.iter().copied().reduce(|a, b| Some(a?.max(b?))).flatten();
                let pages = widest.map(|widest| widest.checked_next_multiple_of(page_tokens));
                pages.flatten().map_or(model, narrower)
            };
            Ok(queries.chunks(queries.len() / heads).map(of_group).collect())
        }
    }
}

/// Whether a table of windows has a row for every slot of a plan.
pub(super) fn check(plan: &CachePlan, window: &Window) -> Result<()> {
    let Window::Heads(table) = window else { return Ok(()) };
    let (have, slots) = (table.slots.len(), plan.slots.len());
    if have == slots {
        return Ok(());
    }
    Err(Error::Config(format!(
        "the table of windows is for {have} layers, the model caches in {slots}: tune the windows with this model"
    )))
}

/// A slot's windows by query head: as many for each of its key-value heads.
fn queries(slot: CacheSlot, table: &HeadWindows, heads: usize) -> Result<&[Option<usize>]> {
    let queries = table.slots.get(slot.0 as usize).map_or(&[][..], Vec::as_slice);
    if queries.is_empty() || !queries.len().is_multiple_of(heads) {
        return Err(Error::Config(format!(
            "the table of windows has {} heads in layer {}, whose {heads} key-value heads ask for a multiple of that: tune the windows with this model",
            queries.len(),
            slot.0
        )));
    }
    if queries.contains(&Some(0)) {
        return Err(Error::Config(format!(
            "the table of windows has a window of 0 in layer {}: it must be at least 1",
            slot.0
        )));
    }
    Ok(queries)
}
