use edgeformer_core::{Footprint, SessionOptions, Tiers};
use edgeformer_models::ModelFile;

use super::candidate::{Placement, chunks, placements};
use super::{Budget, Candidate};
use crate::engine::Chosen;
use crate::{EngineOptions, Result};

/// Looks for the best way to run a model within a budget.
pub(crate) struct Search<'a> {
    pub file: &'a ModelFile,
    pub chosen: &'a Chosen,
    pub options: &'a EngineOptions,
    pub budget: Budget,
    /// Bytes that every candidate takes besides its footprint: the program, the tokenizer.
    pub fixed: u64,
}

/// What was chosen.
pub(crate) struct Decision {
    pub session: SessionOptions,
    pub footprint: Footprint,
    /// What was looked at, in order: all there is if the options ask for an explanation, else up
    /// to the one that was chosen.
    pub candidates: Vec<Candidate>,
    pub fits: bool,
}

/// A candidate that the backend has planned.
struct Planned {
    candidate: Candidate,
    session: SessionOptions,
    footprint: Result<Footprint, edgeformer_core::Error>,
}

impl Search<'_> {
    /// The first candidate that fits; without one the one that takes least.
    ///
    /// # Errors
    /// If a window file does not fit the model, or no candidate can be opened at all.
    pub fn decide(&self) -> Result<Decision> {
        let base = self.options.session(&self.file.model.graph)?;
        let mut planned: Vec<Planned> = Vec::new();
        for next in self.candidates(&base) {
            planned.push(next);
            let fits = planned.last().is_some_and(|planned| planned.candidate.fits);
            if fits && !self.options.explain {
                break;
            }
        }
        let fitting = planned.iter().position(|planned| planned.candidate.fits);
        let index = fitting.unwrap_or_else(|| self.least(&planned));
        planned[index].candidate.chosen = fitting.is_some();
        let candidates = planned.iter().map(|planned| planned.candidate.clone()).collect();
        let Planned { session, footprint, .. } = planned.swap_remove(index);
        Ok(Decision { session, footprint: footprint?, candidates, fits: fitting.is_some() })
    }

    /// The longest context that would fit, zero if none does.
    pub fn longest_context(&self) -> Result<usize> {
        let graph = &self.file.model.graph;
        let visibility = self.options.visibility(graph)?;
        let fits = |context: usize| {
            let base = self.options.session_at(graph, &visibility, context);
            self.candidates(&base).any(|planned| planned.candidate.fits)
        };
        // It fits at `low` or `low` is zero, and does not fit at `high`.
        let (mut low, mut high) = (0, self.options.session(graph)?.context);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        Ok(low)
    }

    /// Every way to run, the best first; planned one by one as they are asked for.
    fn candidates<'s>(
        &'s self,
        base: &'s SessionOptions,
    ) -> impl Iterator<Item = Planned> + use<'s> {
        let is_causal = self.file.model.graph.is_causal();
        let chunks = chunks(self.options, base, is_causal);
        let placements = placements(self.options, base, is_causal, &self.budget);
        placements.into_iter().flat_map(move |placement| {
            let sized = chunks.iter().map(|&chunk| with_chunk(base, chunk)).collect::<Vec<_>>();
            sized.into_iter().map(move |session| self.plan(&placement, session))
        })
    }

    fn plan(&self, placement: &Placement, base: SessionOptions) -> Planned {
        let resident = SessionOptions {
            cache_type_k: placement.cache_type_k,
            cache_type_v: placement.cache_type_v,
            tiers: Tiers::default(),
            ..base
        };
        let whole = self.footprint(&resident);
        let full_cache = whole.as_ref().map_or(0, |footprint| footprint.cache);
        let session = SessionOptions { tiers: placement.tiers.clone(), ..resident };
        let (session, footprint) = match whole {
            whole if session.tiers == Tiers::default() => (session, whole),
            Ok(whole) if placement.takes_the_rest => self.plan_the_rest(session, whole),
            _ => {
                let footprint = self.footprint(&session);
                (session, footprint)
            }
        };
        let candidate = self.describe(&session, &footprint, full_cache);
        Planned { candidate, session, footprint }
    }

    /// Gives the tiers what everything else leaves of the budget.
    fn plan_the_rest(
        &self,
        session: SessionOptions,
        whole: Footprint,
    ) -> (SessionOptions, Result<Footprint, edgeformer_core::Error>) {
        let with = |budget: u64| {
            let tiers = Tiers { budget: Some(budget), ..session.tiers.clone() };
            SessionOptions { tiers, ..session.clone() }
        };
        let rest = self.rest(&Footprint { cache: 0, ..whole }).min(whole.cache);
        let first = with(rest);
        match self.footprint(&first) {
            // Tiers may need scratch of their own: it comes out of their budget.
            Ok(footprint) if !self.fits(&footprint) => {
                let over =
                    footprint.cache.saturating_sub(self.rest(&Footprint { cache: 0, ..footprint }));
                let second = with(rest.saturating_sub(over));
                let footprint = self.footprint(&second);
                (second, footprint)
            }
            footprint => (first, footprint),
        }
    }

    fn footprint(&self, session: &SessionOptions) -> Result<Footprint, edgeformer_core::Error> {
        self.chosen.backend().plan(&self.file.model, &self.chosen.compile, session)
    }

    fn total(&self, footprint: &Footprint) -> u64 {
        footprint.total().saturating_add(self.fixed)
    }

    /// Bytes of a footprint that count against the budget.
    fn counted(&self, footprint: &Footprint) -> u64 {
        let free = if self.budget.counts_weights() { 0 } else { footprint.weights };
        self.total(footprint) - free
    }

    /// What a footprint leaves of the budget.
    fn rest(&self, footprint: &Footprint) -> u64 {
        self.budget.bytes.unwrap_or(u64::MAX).saturating_sub(self.counted(footprint))
    }

    fn fits(&self, footprint: &Footprint) -> bool {
        self.budget.bytes.is_none_or(|bytes| self.counted(footprint) <= bytes)
    }

    fn describe(
        &self,
        session: &SessionOptions,
        footprint: &Result<Footprint, edgeformer_core::Error>,
        full_cache: u64,
    ) -> Candidate {
        let planned = footprint.as_ref().ok().copied();
        let taken = planned.unwrap_or_default();
        Candidate {
            chunk: session.chunk,
            cache_type_k: session.cache_type_k,
            cache_type_v: session.cache_type_v,
            tiers: session.tiers.clone(),
            cache_resident: taken.cache,
            cache_spilled: planned.map_or(0, |taken| full_cache.saturating_sub(taken.cache)),
            scratch: taken.scratch,
            total: planned.map_or(0, |taken| self.total(&taken)),
            fits: planned.is_some_and(|taken| self.fits(&taken)),
            chosen: false,
            problem: footprint.as_ref().err().map(|error| match error {
                edgeformer_core::Error::Config(problem) => problem.clone(),
                error => error.to_string(),
            }),
        }
    }

    /// The candidate that takes least; the first if none can be opened.
    fn least(&self, planned: &[Planned]) -> usize {
        let sizes = planned.iter().enumerate().filter_map(|(index, planned)| {
            Some((self.total(planned.footprint.as_ref().ok()?), index))
        });
        sizes.min().map_or(0, |(_, index)| index)
    }
}

/// The session with chunks of another size.
fn with_chunk(base: &SessionOptions, chunk: usize) -> SessionOptions {
    SessionOptions { chunk, output_rows: base.output_rows.min(chunk), ..base.clone() }
}
