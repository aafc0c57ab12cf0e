use std::sync::Arc;

use edgeformer_core::{Backend, Choice, CompileOptions, Graph};

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
            threads: options.threads,
            repack: options.repack,
        };
        Ok(Self { choice, compile })
    }

    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.choice.backend
    }

    /// `BACKEND/DEVICE`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.choice.backend.name(), self.choice.device.id)
    }
}
