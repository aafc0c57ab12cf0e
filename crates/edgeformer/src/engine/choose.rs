use std::sync::Arc;

use edgeformer_core::{Backend, Choice, CompileOptions, Graph, Model, Program};

use edgeformer_models::ModelFile;

use crate::tuning;
use crate::{EngineOptions, FoundPacked, ModelSource, PackedWeights, Result, builtin_backends};

/// The backend that runs a model, and how it is asked to compile.
pub(crate) struct Chosen {
    pub choice: Choice,
    pub compile: CompileOptions,
    /// The file of packed weights, if one is there and was looked for.
    pub packed: Option<FoundPacked>,
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
            packed: None,
        };
        Ok(Self { choice, compile, packed: None })
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

    /// Has the model compiled from the file of packed weights that is wanted, if it is there.
    pub fn find_packed(&mut self, source: &ModelSource, file: &ModelFile, wanted: &PackedWeights) {
        self.packed = FoundPacked::of(source, file, wanted).filter(|_| self.compile.repack);
        let found = self.packed.as_ref().and_then(|found| found.file.as_ref().ok());
        self.compile.packed = found.cloned();
    }

    /// Why the packed file that was found is of no use, `None` if it is used or there is none.
    pub fn packed_warning(&self, program: &dyn Program) -> Option<String> {
        self.packed.as_ref()?.warning(program.packed())
    }

    /// What would become of the packed file that was found, for people.
    ///
    /// # Errors
    /// If the model cannot be compiled.
    pub fn packed_told(&self, model: &Model) -> Result<Option<String>> {
        let Some(found) = &self.packed else { return Ok(None) };
        let used = self.backend().check_packed(model, &self.compile, false)?;
        Ok(found.told(&used))
    }

    /// `BACKEND/DEVICE`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.choice.backend.name(), self.choice.device.id)
    }
}
