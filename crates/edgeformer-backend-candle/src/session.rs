use std::sync::Arc;

use candle_core::DType;
use edgeformer_core::graph::{CacheSlot, Op};
use edgeformer_core::{
    AdapterScales, Graph, Input, KvCache, Outputs, Result, Session, SessionOptions, Step,
};
use edgeformer_sequences::{Sequences, Work};

use crate::cache::{CachePast, KeptSequence, Ledger, Shape};
use crate::error::CandleError;
use crate::forward::{Call, Setting, evaluate};
use crate::program::CandleProgram;

/// Work over a program, with a cache of its own.
pub(crate) struct CandleSession {
    program: Arc<CandleProgram>,
    setting: Setting,
    sequences: Sequences<KeptSequence>,
    ledger: Arc<Ledger>,
    /// Slots in the order in which the graph comes to them.
    order: Vec<CacheSlot>,
}

impl CandleSession {
    pub fn new(program: Arc<CandleProgram>, options: &SessionOptions) -> Result<Self> {
        let (model, device) = (program.model(), program.weights().device().clone());
        let graph = &model.graph;
        let shape = Arc::new(Shape::new(graph, options));
        // What the layer that runs and the next one bring over.
        let visitors = 2 * shape.widest(options.context);
        let ledger = Arc::new(Ledger::new(device, options.tiers.budget, visitors));
        let (of_sequence, bound) = (ledger.clone(), shape);
        let make = move || Ok(KeptSequence::new(bound.clone(), of_sequence.clone()));
        let stored = [options.cache_type_k, options.cache_type_v];
        let sequences = Sequences::new(model, options, stored, Box::new(make))?;
        let (setting, order) = (Setting::new(graph, options)?, order(graph));
        Ok(Self { setting, sequences, ledger, order, program })
    }

    /// What is where, for tests.
    #[cfg(test)]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Session for CandleSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        let graph = &self.program.model().graph;
        let work = self.sequences.check(graph, step)?;
        let inputs: Vec<Input<'_>> = step.spans.iter().map(|span| span.input).collect();
        let first: Vec<usize> = work.iter().map(|work| work.first).collect();
        let wanted: Vec<_> = work.iter().map(|work| work.wanted.clone()).collect();
        let scales = |work: &Work| self.sequences.adapters(work.sequence).clone();
        let adapters: Vec<AdapterScales> = work.iter().map(scales).collect();
        let call = Call {
            graph,
            weights: self.program.weights(),
            setting: &self.setting,
            inputs: &inputs,
            first: &first,
            adapters: &adapters,
            wanted: &wanted,
        };
        let mut past = CachePast::new(&mut self.sequences, &work, &self.ledger, &self.order);
        let rows = evaluate(&call, &mut past)?;
        drop(past);
        let values = rows.map(|rows| values(&rows)).transpose()?;
        outputs.reset(graph.output_width(), wanted.iter().map(|wanted| wanted.len()));
        if let Some(values) = values {
            outputs.data_mut().copy_from_slice(&values);
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

fn values(rows: &candle_core::Tensor) -> std::result::Result<Vec<f32>, CandleError> {
    Ok(rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

fn order(graph: &Graph) -> Vec<CacheSlot> {
    let slot = |op: &Op| match op {
        Op::Attention(attention) => attention.slot,
        Op::LatentAttention(attention) => Some(attention.slot),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| slot(&node.op)).collect()
}

#[cfg(test)]
mod tests;
