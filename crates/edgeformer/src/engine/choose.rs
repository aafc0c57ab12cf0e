use std::sync::Arc;

use edgeformer_core::{Backend, Choice, CompileOptions, Graph};

use edgeformer_models::ModelFile;

use crate::tuning;
use crate::{EngineOptions, Result, builtin_backends};

/// The backend that runs a model, and how it is asked to compile.
pub(crate) struct Chosen {
    pub choice: Choice,
    pub compile: CompileOptions,
}

impl Chosen {
    /// Chooses among the compiled-in backends.
    pub fn of(graph: &Graph, options: &EngineOptions) -> Result<Self> {
        let choice = builtin_backends(options)?.select(&options.backend, graph)?;
        let compile = CompileOptions {
            device: choice.device.id.clone(),
            threads: options.threads.or(options.tuned.threads),
            threads_batch: options
                .threads_batch
                .or(options.threads)
                .or(options.tuned.threads_batch),
            repack: options.repack && options.tuned.repack.unwrap_or(true),
        };
        Ok(Self { choice, compile })
    }

    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.choice.backend
    }

    /// The backend, for a file whose options a profile may complete; and what is to be told of
    /// the profile.
    ///
    /// # Errors
    /// If no backend can run the model.
    pub fn tuned(
        file: &ModelFile,
        options: &EngineOptions,
    ) -> Result<(Self, EngineOptions, Vec<String>)> {
        let graph = &file.model.graph;
        let chosen = Self::of(graph, options)?;
        let Some(folder) = &options.profile else {
            return Ok((chosen, options.clone(), Vec::new()));
        };
        let found = tuning::look_up(folder, &chosen, file);
        let options = EngineOptions { tuned: found.choices, ..options.clone() };
        Ok((Self::of(graph, &options)?, options, found.told))
    }

    /// `BACKEND/DEVICE`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.choice.backend.name(), self.choice.device.id)
    }
}
