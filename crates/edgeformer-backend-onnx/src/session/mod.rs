//! A stream of work: sequences with their caches, and steps over them, a run a span.

mod kept;
mod step;
mod variant;

use std::sync::Arc;

use edgeformer_core::{KvCache, Model, Outputs, Result, Session, SessionOptions, Step};
use edgeformer_sequences::Sequences;

use self::kept::Cached;
use self::step::Scratch;
pub(crate) use self::variant::Variant;
use crate::program::STORED;

/// A session over a program.
pub(crate) struct OnnxSession {
    backend: &'static str,
    model: Arc<Model>,
    variant: Arc<Variant>,
    sequences: Sequences<Cached>,
    scratch: Scratch,
}

impl OnnxSession {
    pub fn new(
        backend: &'static str,
        model: Arc<Model>,
        variant: Arc<Variant>,
        options: &SessionOptions,
    ) -> Result<Self> {
        let slots = kept::plans(&model.graph.cache, &variant.slots);
        let context = options.context;
        let make = Box::new(move || Ok(Cached::new(&slots, context)));
        let sequences = Sequences::new(&model, options, [STORED, STORED], make)?;
        Ok(Self { backend, model, variant, sequences, scratch: Scratch::new(context) })
    }
}

impl Session for OnnxSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        let graph = &self.model.graph;
        let work = self.sequences.check(graph, step)?;
        let width = graph.output_width();
        outputs.reset(width, work.iter().map(|work| work.wanted.len()));
        let mut rest = outputs.data_mut();
        for (span, work) in step.spans.iter().zip(&work) {
            let (rows, behind) = rest.split_at_mut(work.wanted.len() * width);
            rest = behind;
            let scales = self.sequences.adapters(work.sequence).clone();
            let cached = self.sequences.kept(work.sequence)?;
            self.scratch
                .run(&self.model, &self.variant, cached, work, (span.input, &scales), rows)
                .map_err(|problem| problem.of(self.backend))?;
        }
        if graph.is_causal() {
            work.iter().for_each(|work| self.sequences.advance(work.sequence, work.tokens));
        }
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        &mut self.sequences
    }
}
