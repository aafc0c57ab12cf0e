use std::path::PathBuf;

use edgeformer_core::{CacheFormat, SessionOptions, Tiers};
use serde::Serialize;

use super::Budget;
use crate::EngineOptions;
use crate::options::DEFAULT_CHUNK;

/// A way to run within the memory budget, and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// Rows of one step.
    pub chunk: usize,
    /// Format of cached keys.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
    /// Where pages go that do not fit.
    pub tiers: Tiers,
    /// Bytes of the cache in memory.
    pub cache_resident: u64,
    /// Bytes of a full cache that memory does not hold: in the spill file, or saved by the cold
    /// format.
    pub cache_spilled: u64,
    /// Bytes of activations, output rows, buffers of the threads.
    pub scratch: u64,
    /// Bytes of everything: weights, cache, scratch, tokenizer, program.
    pub total: u64,
    /// Whether it stays within the budget.
    pub fits: bool,
    /// Whether it is the one that was taken: the first that fits.
    pub chosen: bool,
    /// Why it cannot be opened at all.
    pub problem: Option<String>,
}

/// Where the cache is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placement {
    pub cache_type_k: CacheFormat,
    pub cache_type_v: CacheFormat,
    pub tiers: Tiers,
    /// Whether the tiers' budget is what everything else leaves.
    pub takes_the_rest: bool,
}

/// Chunks that are tried behind the usual one, the fastest first.
const CHUNKS: [usize; 5] = [DEFAULT_CHUNK, 256, 128, 64, 32];

/// Formats that are tried, the most exact first. Keys suffer more than values (KIVI, arXiv
/// 2402.02750, section 3.1), so values go first.
const FORMATS: [(CacheFormat, CacheFormat); 4] = [
    (CacheFormat::F16, CacheFormat::F16),
    (CacheFormat::Q8_0, CacheFormat::Q8_0),
    (CacheFormat::Q8_0, CacheFormat::Q4_0),
    (CacheFormat::Q4_0H, CacheFormat::Q4_0),
];

/// The chunks that are open to choice.
pub(super) fn chunks(
    options: &EngineOptions,
    base: &SessionOptions,
    is_causal: bool,
) -> Vec<usize> {
    if options.chunk.is_some() || !is_causal {
        return vec![base.chunk];
    }
    let fitting = CHUNKS.map(|chunk| chunk.min(base.context).max(base.sequences));
    let smaller = fitting.into_iter().filter(|&chunk| chunk <= base.chunk);
    distinct(std::iter::once(base.chunk).chain(smaller))
}

/// The placements that are open to choice, the best first.
pub(super) fn placements(
    options: &EngineOptions,
    base: &SessionOptions,
    is_causal: bool,
    budget: &Budget,
) -> Vec<Placement> {
    let (cache_type_k, cache_type_v) = (base.cache_type_k, base.cache_type_v);
    let at =
        |tiers, takes_the_rest| Placement { cache_type_k, cache_type_v, tiers, takes_the_rest };
    if !is_causal || base.tiers.budget.is_some() {
        return vec![at(base.tiers.clone(), false)];
    }
    // With room for everything nothing has to go anywhere.
    let resident = at(Tiers::default(), false);
    match overflow(options, base, budget) {
        Some(tiers) => vec![resident, at(tiers, true)],
        None => {
            formats(options).into_iter().map(|format| with_formats(&resident, format)).collect()
        }
    }
}

/// Where pages may go: as the user says, else to the temporary folder if he named a budget.
fn overflow(options: &EngineOptions, base: &SessionOptions, budget: &Budget) -> Option<Tiers> {
    let is_given = base.tiers.cold.is_some() || base.tiers.spill.is_some();
    if is_given {
        return Some(base.tiers.clone());
    }
    // What was dropped by choice is not kept elsewhere.
    let may_spill = budget.counts_weights() && options.visibility.eviction.is_none();
    may_spill.then(|| Tiers { spill: Some(temporary_folder()), ..Tiers::default() })
}

fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

fn with_formats(resident: &Placement, formats: (CacheFormat, CacheFormat)) -> Placement {
    Placement { cache_type_k: formats.0, cache_type_v: formats.1, ..resident.clone() }
}

fn formats(options: &EngineOptions) -> Vec<(CacheFormat, CacheFormat)> {
    let first = options.tuned.cache_type();
    distinct(std::iter::once((first, first)).chain(FORMATS).map(|(keys, values)| {
        (options.cache_type_k.unwrap_or(keys), options.cache_type_v.unwrap_or(values))
    }))
}

/// Without repetitions, which stand side by side.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.dedup();
    items
}
