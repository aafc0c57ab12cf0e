//! The choice, against a backend whose sizes can be counted on fingers.

use std::sync::Arc;

use edgeformer_core::{
    Backend, CacheFormat, Choice, CompileOptions, Device, Error, Footprint, Graph, Model, Program,
    Result, SessionOptions, Tiers, Unsupported,
};
use edgeformer_models::{ModelFile, OpenOptions};
use proptest::prelude::*;

use super::{Budget, BudgetSource, Candidate, Decision, Search};
use crate::engine::Chosen;
use crate::{EngineOptions, ModelSource};

const WEIGHTS: u64 = 100_000;
const FIXED: u64 = 1_000;

/// Ten bytes of scratch a row; of cache four bytes a token in f16 and less below; tiers need room
/// for a hundred tokens and a thousand bytes of scratch.
struct Plain;

fn token_bytes(session: &SessionOptions) -> u64 {
    let bytes = |format| match format {
        CacheFormat::F32 => 8,
        CacheFormat::F16 => 4,
        CacheFormat::Q8_0 => 2,
        CacheFormat::Q4_0 | CacheFormat::Q4_0H => 1,
    };
    bytes(session.cache_type_k) + bytes(session.cache_type_v)
}

impl Backend for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        Ok(Vec::new())
    }

    fn check(&self, _: &Graph, _: &Device) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(&self, _: &Model, _: &CompileOptions, session: &SessionOptions) -> Result<Footprint> {
        let per_token = token_bytes(session);
        let full = per_token * session.context as u64;
        let has_tiers = session.tiers != Tiers::default();
        let cache = match session.tiers.budget {
            Some(budget) if budget < 100 * per_token => {
                return Err(Error::Config(format!("the cache budget {budget} is too small")));
            }
            Some(budget) => full.min(budget),
            None => full,
        };
        let scratch = 10 * session.chunk as u64 + if has_tiers { 1_000 } else { 0 };
        Ok(Footprint { weights: WEIGHTS, cache, cache_per_token: per_token, scratch })
    }

    fn compile(&self, _: Arc<Model>, _: &CompileOptions) -> Result<Arc<dyn Program>> {
        Err(Error::Config("it only plans".into()))
    }
}

fn file() -> ModelFile {
    ModelSource::Embedded.open_file(&OpenOptions { tokenizer: false }).unwrap()
}

fn device() -> Device {
    Device { id: "cpu".into(), description: String::new(), facts: Vec::new(), score: 0 }
}

/// Looks with `act` for what fits into `bytes`.
fn search<T>(
    options: &EngineOptions,
    (bytes, source): (u64, BudgetSource),
    act: impl FnOnce(&Search<'_>) -> T,
) -> T {
    let choice = Choice { backend: Arc::new(Plain), device: device(), refused: Vec::new() };
    let chosen = Chosen { choice, compile: CompileOptions::default(), packed: None };
    let budget = Budget { bytes: Some(bytes), source };
    act(&Search { file: &file(), chosen: &chosen, options, budget, fixed: FIXED })
}

fn decide(options: &EngineOptions, budget: (u64, BudgetSource)) -> Decision {
    search(options, budget, |search| search.decide().unwrap())
}

fn context(context: usize) -> EngineOptions {
    EngineOptions { context: Some(context), ..EngineOptions::default() }
}

fn available(bytes: u64) -> (u64, BudgetSource) {
    (bytes, BudgetSource::Available)
}

fn named(bytes: u64) -> (u64, BudgetSource) {
    (bytes, BudgetSource::Named)
}

fn formats(decision: &Decision) -> (CacheFormat, CacheFormat) {
    (decision.session.cache_type_k, decision.session.cache_type_v)
}

#[test]
fn with_memory_to_spare_everything_is_as_it_is_best() {
    let decision = decide(&context(1000), available(1 << 30));
    assert!(decision.fits);
    assert_eq!(decision.session.chunk, 512);
    assert_eq!(formats(&decision), (CacheFormat::F16, CacheFormat::F16));
    // It does not look further than it must.
    assert_eq!(decision.candidates.len(), 1);
    assert!(decision.candidates[0].chosen);
}

#[test]
fn the_chunk_gives_way_first() {
    // 1000 of program, 8000 of cache: 1300 are left for scratch.
    let decision = decide(&context(1000), available(1_000 + 8_000 + 1_300));
    assert_eq!((decision.session.chunk, decision.fits), (128, true));
    assert_eq!(formats(&decision), (CacheFormat::F16, CacheFormat::F16));
}

#[test]
fn then_the_cache_takes_coarser_formats() {
    for (left, keys, values) in [
        (4_000, CacheFormat::Q8_0, CacheFormat::Q8_0),
        (3_000, CacheFormat::Q8_0, CacheFormat::Q4_0),
        (2_000, CacheFormat::Q4_0H, CacheFormat::Q4_0),
    ] {
        let decision = decide(&context(1000), available(1_000 + left + 640));
        assert!(decision.fits);
        assert_eq!((formats(&decision), decision.session.chunk), ((keys, values), 64));
    }
}

#[test]
fn what_the_user_says_stands() {
    let options =
        EngineOptions { chunk: Some(512), cache_type_k: Some(CacheFormat::F16), ..context(1000) };
    let decision = decide(&options, available(1_000 + 5_500 + 5_120));
    assert_eq!((formats(&decision).0, decision.session.chunk), (CacheFormat::F16, 512));
    assert_eq!((formats(&decision).1, decision.fits), (CacheFormat::Q4_0, true));
}

#[test]
fn a_named_budget_counts_weights_and_spills_instead() {
    let budget = WEIGHTS + 1_000 + 2_000 + 5_120 + 1_000;
    let decision = decide(&context(1000), named(budget));
    let tiers = &decision.session.tiers;
    assert_eq!(formats(&decision), (CacheFormat::F16, CacheFormat::F16));
    assert_eq!(tiers.spill, Some(std::env::temp_dir()));
    // The scratch that spilling needs is taken from the cache, not from the budget.
    assert_eq!((tiers.budget, decision.session.chunk), (Some(2_000), 512));
    assert_eq!(decision.footprint.total() + FIXED, budget);
    let chosen: Vec<&Candidate> =
        decision.candidates.iter().filter(|candidate| candidate.chosen).collect();
    assert_eq!((chosen.len(), chosen[0].cache_spilled), (1, 6_000));
}

#[test]
fn a_folder_to_spill_to_is_used_only_when_it_must_be() {
    let spill = Tiers { spill: Some("pages".into()), ..Tiers::default() };
    let options = EngineOptions { tiers: spill.clone(), ..context(1000) };
    assert_eq!(decide(&options, available(1 << 30)).session.tiers, Tiers::default());
    let decision = decide(&options, available(1_000 + 1_000 + 5_120 + 1_000));
    assert_eq!(decision.session.tiers, Tiers { budget: Some(1_000), ..spill });
}

#[test]
fn a_cache_budget_of_the_user_is_kept() {
    let tiers = Tiers { budget: Some(3_000), cold: Some(CacheFormat::Q4_0), spill: None };
    let options = EngineOptions { tiers: tiers.clone(), ..context(1000) };
    let decision = decide(&options, available(1 << 30));
    assert_eq!(decision.session.tiers, tiers);
    let small = EngineOptions { tiers: Tiers { budget: Some(10), ..tiers }, ..context(1000) };
    let refused = search(&small, available(1 << 30), |search| search.decide().err());
    assert!(refused.unwrap().to_string().contains("budget 10 is too small"));
}

#[test]
fn an_explanation_lists_all_there_is() {
    let options = EngineOptions { explain: true, ..context(1000) };
    let decision = decide(&options, available(1_000 + 4_000 + 640));
    assert_eq!(decision.candidates.len(), 5 * 4);
    assert_eq!(decision.candidates.iter().filter(|candidate| candidate.chosen).count(), 1);
    let first = decision.candidates.iter().find(|candidate| candidate.fits).unwrap();
    assert!(first.chosen);
}

#[test]
fn what_cannot_fit_is_told_with_the_longest_context_that_can() {
    let budget = available(1_000 + 320 + 2_000);
    let decision = decide(&context(100_000), budget);
    assert!(!decision.fits && decision.candidates.iter().all(|candidate| !candidate.chosen));
    let longest = search(&context(100_000), budget, |search| search.longest_context().unwrap());
    assert_eq!(longest, 1_000);
    let none = search(&context(100_000), available(10), |search| search.longest_context().unwrap());
    assert_eq!(none, 0);
}

proptest! {
    /// Whatever the budget: what is chosen fits it, and the longest context is the longest.
    #[test]
    fn choices_stay_within_the_budget(
        bytes in 0u64..300_000, tokens in 1usize..40_000, is_named: bool, spills: bool,
    ) {
        let tiers = Tiers { spill: spills.then(|| "pages".into()), ..Tiers::default() };
        let options = |tokens| EngineOptions { tiers: tiers.clone(), ..context(tokens) };
        let budget = if is_named { named(bytes) } else { available(bytes) };
        let decision = decide(&options(tokens), budget);
        let counted = decision.footprint.total() + FIXED - if is_named { 0 } else { WEIGHTS };
        prop_assert_eq!(decision.fits, counted <= bytes);
        if !decision.fits {
            let longest = search(&options(tokens), budget, |search| search.longest_context().unwrap());
            prop_assert!(longest < tokens);
            prop_assert!(longest == 0 || decide(&options(longest), budget).fits);
            prop_assert!(!decide(&options(longest + 1), budget).fits);
        }
    }
}
