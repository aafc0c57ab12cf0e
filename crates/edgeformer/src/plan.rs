use serde::Serialize;

use edgeformer_core::{Footprint, SessionOptions};
use edgeformer_models::{ModelFile, OpenOptions};

use crate::budget::{Budget, Candidate, Decision, Search, System};
use crate::engine::{Chosen, DraftPlan};
use crate::{EngineOptions, Error, ModelSource, Result, available_memory};

/// Memory of the program itself: pages of its code and data, thread stacks, the allocator's slack.
/// Measured: `cargo xtask plan-accuracy` prints how well the whole plan fits.
const PROGRAM_BYTES: u64 = 23 << 19;

/// What an engine will take, known before anything is loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The model's family.
    pub family: String,
    /// Which backend and device would run it.
    pub backend: String,
    /// How the session would be opened.
    pub session: SessionOptions,
    /// Bytes of weights, cache and scratch.
    pub footprint: Footprint,
    /// Bytes of the tokenizer, about.
    pub tokenizer: u64,
    /// Bytes of the program itself, about.
    pub program: u64,
    /// Bytes of weights, cache and scratch of a draft model, zero without one.
    pub draft: u64,
    /// Bytes that the system could give now, where it tells.
    pub available: Option<u64>,
    /// Bytes that the run may have resident.
    pub budget: Budget,
    /// What the session was chosen from, the best first: up to the chosen one, or all with
    /// [`EngineOptions::explain`].
    pub candidates: Vec<Candidate>,
    /// Why the backend computes as it does, a line each, with [`EngineOptions::explain`].
    pub explanation: Vec<String>,
    /// If nothing fits the budget: the longest context that would, zero if none does.
    pub longest_context: Option<usize>,
}

impl Plan {
    /// Plans without loading: maps the file, reads its header.
    ///
    /// # Errors
    /// If the files are damaged, no backend can run the model, or options contradict each other.
    pub fn of(source: &ModelSource, options: &EngineOptions) -> Result<Self> {
        let file = source.open_adapted(&OpenOptions { tokenizer: false }, &options.adapters)?;
        let (mut chosen, options, told) = Chosen::tuned(&file, options)?;
        chosen.find_packed(source, &file, options.packed());
        Self::with(&file, &chosen, &options, told)
    }

    /// Plans with a backend that was chosen. `told` is what there is to tell of the profile.
    pub(crate) fn with(
        file: &ModelFile,
        chosen: &Chosen,
        options: &EngineOptions,
        told: Vec<String>,
    ) -> Result<Self> {
        let budget = Budget::new(options.memory_budget, &System::default());
        let tokenizer = if options.tokenizer { file.tokenizer_bytes() } else { 0 };
        let context = options.session(&file.model.graph)?.context;
        let draft = DraftPlan::of(file, options, context)?;
        let draft = draft.map_or(0, |draft| draft.footprint.total());
        let fixed = PROGRAM_BYTES + tokenizer + draft;
        let search = Search { file, chosen, options, budget, fixed };
        let Decision { session, footprint, candidates, fits } = search.decide()?;
        let explanation = match options.explain {
            true => {
                let packed = chosen.packed_told(&file.model)?.into_iter().collect();
                [told, packed, chosen.backend().explain(&file.model, &session)?].concat()
            }
            false => Vec::new(),
        };
        Ok(Self {
            family: file.model.graph.name.clone(),
            backend: chosen.name(),
            session,
            footprint,
            tokenizer,
            program: PROGRAM_BYTES,
            draft,
            available: available_memory(),
            budget,
            candidates,
            explanation,
            longest_context: if fits { None } else { Some(search.longest_context()?) },
        })
    }

    /// All bytes together: what the process will have resident at most.
    pub fn total(&self) -> u64 {
        self.footprint.total() + self.tokenizer + self.program + self.draft
    }

    /// What was chosen otherwise than with memory to spare, for people; `None` if nothing was.
    pub fn concession(&self) -> Option<String> {
        let best = self.candidates.first()?;
        let chosen = self.candidates.iter().find(|candidate| candidate.chosen)?;
        let tiers = &chosen.tiers;
        let cache = match (&tiers.spill, tiers.cold) {
            _ if *tiers == best.tiers => None,
            (Some(folder), _) => Some(format!("old cache pages go to {}", folder.display())),
            (None, Some(format)) => Some(format!("old cache pages in {}", format.name())),
            (None, None) => None,
        };
        let formats = |of: &Candidate| (of.cache_type_k, of.cache_type_v);
        let (keys, values) = formats(chosen);
        let format = (formats(best) != formats(chosen))
            .then(|| format!("keys in {}, values in {}", keys.name(), values.name()));
        let chunk = (best.chunk != chosen.chunk).then(|| format!("chunks of {}", chosen.chunk));
        let all: Vec<String> = [chunk, cache, format].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Of [`total`](Self::total), the bytes that count against the budget.
    pub fn counted(&self) -> u64 {
        let free = if self.budget.counts_weights() { 0 } else { self.footprint.weights };
        self.total() - free
    }

    /// By how many bytes the plan exceeds what the system could give now, weights counted.
    pub fn excess(&self) -> Option<u64> {
        self.total().checked_sub(self.available?).filter(|&excess| excess > 0)
    }

    /// Whether the plan is within the budget.
    ///
    /// # Errors
    /// If it is not, with the longest context that would be.
    pub fn check(&self) -> Result<()> {
        let (Some(longest), Some(bytes)) = (self.longest_context, self.budget.bytes) else {
            return Ok(());
        };
        Err(Error::OverBudget {
            context: self.session.context,
            needed: self.counted(),
            budget: bytes,
            said_by: self.budget.source,
            longest,
        })
    }
}
