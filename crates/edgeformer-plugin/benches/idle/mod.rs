//! A backend that computes nothing: what a step of it takes is what calling it takes.

use std::io::{Read, Write};
use std::sync::Arc;

use edgeformer_plugin::edgeformer_core::{
    Backend, CacheUsage, CompileOptions, Device, Footprint, Graph, KvCache, Model, Outputs,
    Program, Result, SequenceId, Session, SessionOptions, Step, Unsupported,
};

#[derive(Default)]
pub struct Idle;

struct IdleProgram(Arc<Model>);

struct IdleSession {
    width: usize,
}

impl Backend for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        Ok(Vec::new())
    }

    fn check(&self, _: &Graph, _: &Device) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(&self, _: &Model, _: &CompileOptions, _: &SessionOptions) -> Result<Footprint> {
        Ok(Footprint::default())
    }

    fn compile(&self, model: Arc<Model>, _: &CompileOptions) -> Result<Arc<dyn Program>> {
        Ok(Arc::new(IdleProgram(model)))
    }
}

impl Program for IdleProgram {
    fn graph(&self) -> &Graph {
        &self.0.graph
    }

    fn footprint(&self, _: &SessionOptions) -> Footprint {
        Footprint::default()
    }

    fn open(self: Arc<Self>, _: &SessionOptions) -> Result<Box<dyn Session>> {
        Ok(Box::new(IdleSession { width: self.0.graph.output_width() }))
    }
}

impl Session for IdleSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        outputs.reset(self.width, step.spans.iter().map(|_| 1));
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        self
    }
}

impl KvCache for IdleSession {
    fn create(&mut self) -> Result<SequenceId> {
        Ok(SequenceId(0))
    }

    fn len(&self, _: SequenceId) -> usize {
        0
    }

    fn truncate(&mut self, _: SequenceId, _: usize) -> Result<()> {
        Ok(())
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        Ok(seq)
    }

    fn remove(&mut self, _: SequenceId) {}

    fn export(&mut self, _: SequenceId, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    fn import(&mut self, _: &mut dyn Read) -> Result<SequenceId> {
        Ok(SequenceId(0))
    }

    fn usage(&self) -> CacheUsage {
        CacheUsage::default()
    }
}
