use serde::Serialize;

use edgeformer_core::{Footprint, SessionOptions};
use edgeformer_models::{ModelFile, OpenOptions};

use crate::engine::Chosen;
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
    /// Bytes that the system could give now, where it tells.
    pub available: Option<u64>,
}

impl Plan {
    /// Plans without loading: maps the file, reads its header.
    ///
    /// # Errors
    /// If the files are damaged, or no backend can run the model.
    pub fn of(source: &ModelSource, options: &EngineOptions) -> Result<Self> {
        let file = source.open_file(&OpenOptions { tokenizer: false })?;
        let chosen = Chosen::of(&file.model.graph, options)?;
        Self::with(&file, &chosen, options)
    }

    pub(crate) fn with(file: &ModelFile, chosen: &Chosen, options: &EngineOptions) -> Result<Self> {
        let graph = &file.model.graph;
        let session = options.session(graph);
        let footprint = chosen.backend().plan(&file.model, &chosen.compile, &session)?;
        Ok(Self {
            family: graph.name.clone(),
            backend: chosen.name(),
            session,
            footprint,
            tokenizer: if options.tokenizer { file.tokenizer_bytes() } else { 0 },
            program: PROGRAM_BYTES,
            available: available_memory(),
        })
    }

    /// All bytes together: what the process will have resident at most.
    pub fn total(&self) -> u64 {
        self.footprint.total() + self.tokenizer + self.program
    }

    /// By how many bytes the plan exceeds what the system could give now.
    pub fn excess(&self) -> Option<u64> {
        self.total().checked_sub(self.available?).filter(|&excess| excess > 0)
    }

    /// Whether everything but the weights fits into available memory. Weights are mapped: the
    /// system can drop and read their pages again, slowly; the cache it cannot.
    ///
    /// # Errors
    /// If it does not fit, with the longest context that would.
    pub(crate) fn check_context(&self) -> Result<()> {
        let needed = self.total() - self.footprint.weights;
        let Some(available) = self.available.filter(|&available| needed > available) else {
            return Ok(());
        };
        let longest = self.longest_context(available + self.footprint.weights);
        Err(Error::ContextTooLarge { context: self.session.context, needed, available, longest })
    }

    /// The longest context that would fit into `bytes`, zero if none does.
    pub fn longest_context(&self, bytes: u64) -> u64 {
        let fixed = self.total() - self.footprint.cache;
        let per_token = self.footprint.cache_per_token * self.session.sequences as u64;
        let left = bytes.saturating_sub(fixed);
        left.checked_div(per_token).unwrap_or(self.session.context as u64)
    }
}
