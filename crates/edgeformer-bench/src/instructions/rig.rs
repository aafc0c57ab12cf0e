use std::sync::Arc;

use edgeformer::{EngineOptions, builtin_backends};
use edgeformer_core::{
    CacheFormat, CompileOptions, Input, Model, Outputs, Selection, SequenceId, Session,
    SessionOptions, Span, Step, Want,
};

use super::Case;
use super::graphs::{VOCABULARY, graph};
use super::weights::weights;
use crate::cache::any_tokens;
use crate::{Error, Result};

/// A case, ready for the step that is counted.
pub struct Rig {
    session: Box<dyn Session>,
    sequence: SequenceId,
    tokens: Vec<u32>,
    outputs: Outputs,
}

impl Rig {
    /// Compiles a case's model for an instruction set, by name, on one thread, and reads its
    /// context. The step has run once before and has been taken back, so that what is allocated
    /// for it is there.
    ///
    /// # Errors
    /// If this machine does not have the instruction set.
    pub fn new(case: &Case, isa: &str) -> Result<Self> {
        let options = EngineOptions { isa: Some(isa.into()), ..EngineOptions::default() };
        let graph = graph(case)?;
        let cpu = Selection::Exact { backend: "cpu".into(), device: None };
        let found = builtin_backends(&options)?.select(&cpu, &graph)?;
        let weights = weights(&graph, case.weights)?;
        let compile = CompileOptions {
            device: found.device.id,
            threads: Some(1),
            threads_batch: Some(1),
            repack: true,
            packed: None,
        };
        let program = found.backend.compile(Arc::new(Model { graph, weights }), &compile)?;
        let length = case.depth + case.tokens;
        let mut session = program.open(&SessionOptions {
            context: length,
            chunk: length,
            output_rows: case.tokens,
            cache_type_k: case.cache,
            cache_type_v: match case.cache {
                // Only keys and latents are rotated.
                CacheFormat::Q4_0H => CacheFormat::Q4_0,
                format => format,
            },
            ..SessionOptions::default()
        })?;

        let sequence = session.cache().create()?;
        let mut tokens = any_tokens(VOCABULARY, length);
        let step = tokens.split_off(case.depth);
        let mut rig = Self { session, sequence, tokens, outputs: Outputs::default() };
        if case.depth > 0 {
            rig.run(Want::Nothing)?;
        }
        rig.tokens = step;
        rig.run(Want::All)?;
        rig.session.cache().truncate(sequence, case.depth)?;
        Ok(rig)
    }

    /// The step that is counted: Callgrind finds it by its name, which is why it stays a function
    /// of its own.
    ///
    /// # Errors
    /// If the session refuses it.
    #[inline(never)]
    pub fn step(&mut self) -> Result<()> {
        self.run(Want::All)
    }

    /// What came out: so that nobody can leave the step out.
    ///
    /// # Errors
    /// If a number is not finite: what was counted was no computation.
    pub fn check(&self) -> Result<()> {
        let rows = self.outputs.rows();
        let sound = !rows.is_empty() && rows.data().iter().all(|value| value.is_finite());
        match sound {
            true => Ok(()),
            false => Err(Error::Request("the case computes no finite numbers".into())),
        }
    }

    fn run(&mut self, want: Want) -> Result<()> {
        let span = Span { sequence: self.sequence, input: Input::Tokens(&self.tokens), want };
        Ok(self.session.run(&Step { spans: &[span] }, &mut self.outputs)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::cases;

    #[test]
    fn every_case_runs_and_leaves_numbers() {
        for case in cases() {
            let mut rig =
                Rig::new(&case, "scalar").unwrap_or_else(|error| panic!("{}: {error}", case.name));
            rig.step().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            rig.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }

    #[test]
    fn unknown_instruction_sets_are_refused() {
        let error = Rig::new(&cases()[0], "abacus").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("abacus"), "{error}");
    }
}
