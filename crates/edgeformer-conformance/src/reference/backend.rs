//! The evaluator as a backend: every step is computed anew over the whole past of its sequences.
//!
//! It tests the suite itself, and it tells whether a difference to another runtime lies in the
//! graph or in a backend's execution.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use edgeformer_core::graph::{GraphInput, RowKind};
use edgeformer_core::{
    AdapterScales, Backend, CacheUsage, CompileOptions, Device, Error, Footprint, Graph, Input,
    KvCache, Model, Outputs, Program, Result, SequenceId, Session, SessionOptions, Span, Step,
    Unsupported, Visibility, Want,
};

use super::{Matrix, ScalesSince, evaluate_scaled};

/// The evaluator as a backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceBackend;

struct ReferenceProgram {
    model: Arc<Model>,
}

struct ReferenceSession {
    model: Arc<Model>,
    options: SessionOptions,
    past: Past,
}

/// The tokens that each sequence has seen; the same vector where they share it.
#[derive(Default)]
struct Past {
    sequences: BTreeMap<SequenceId, Arc<Vec<u32>>>,
    scales: BTreeMap<SequenceId, ScalesSince>,
    /// Adapters of the graph.
    adapters: usize,
    created: u64,
    limit: u64,
}

impl Backend for ReferenceBackend {
    fn name(&self) -> &str {
        "reference"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let description = "plain evaluation in f64".into();
        Ok(vec![Device { id: "cpu".into(), description, facts: Vec::new(), score: 0 }])
    }

    fn check(&self, _graph: &Graph, _device: &Device) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(
        &self,
        _model: &Model,
        _compile: &CompileOptions,
        _session: &SessionOptions,
    ) -> Result<Footprint> {
        Ok(Footprint::default())
    }

    fn compile(&self, model: Arc<Model>, _options: &CompileOptions) -> Result<Arc<dyn Program>> {
        model.graph.check()?;
        model.weights.check(&model.graph)?;
        Ok(Arc::new(ReferenceProgram { model }))
    }
}

impl Program for ReferenceProgram {
    fn graph(&self) -> &Graph {
        &self.model.graph
    }

    fn footprint(&self, _options: &SessionOptions) -> Footprint {
        Footprint::default()
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        let limit = (options.context * options.sequences * size_of::<u32>()) as u64;
        let adapters = self.model.graph.adapters();
        let past = Past { limit, adapters, ..Past::default() };
        Ok(Box::new(ReferenceSession { model: self.model.clone(), options: options.clone(), past }))
    }
}

impl Session for ReferenceSession {
    fn run(&mut self, step: &Step<'_>, outputs: &mut Outputs) -> Result<()> {
        self.check(step)?;
        let mut wanted = Vec::new();
        let mut longer = Vec::new();
        for span in step.spans {
            let past = self.past.tokens(span.sequence)?;
            let (rows, tokens) = self.evaluate(&past, span)?;
            let grows =
                self.model.graph.output_rows() == RowKind::Token && self.model.graph.is_causal();
            let rows = match (grows, span.want) {
                (_, Want::Nothing) => Vec::new(),
                (_, Want::Last) => rows.row(rows.len() - 1).to_vec(),
                (true, Want::All) => rows.data()[past.len() * rows.width()..].to_vec(),
                (false, Want::All) => rows.data().to_vec(),
            };
            wanted.push(rows);
            longer.push((span.sequence, tokens));
        }
        let width = self.model.graph.output_width();
        outputs.reset(width, wanted.iter().map(|rows| rows.len() / width));
        for (to, from) in outputs.data_mut().iter_mut().zip(wanted.concat()) {
            *to = from as f32;
        }
        if self.model.graph.is_causal() {
            self.past.sequences.extend(longer);
        }
        Ok(())
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        &mut self.past
    }
}

impl ReferenceSession {
    fn evaluate(&self, past: &[u32], span: &Span<'_>) -> Result<(Matrix, Arc<Vec<u32>>)> {
        let context = self.options.context;
        let scales = self.past.scales.get(&span.sequence).cloned().unwrap_or_default();
        match (span.input, self.model.graph.input) {
            (Input::Tokens(tokens), GraphInput::Tokens { .. }) => {
                let whole = [past, tokens].concat();
                let seen = &self.options.visibility;
                let rows =
                    evaluate_scaled(&self.model, Input::Tokens(&whole), context, seen, &scales)?;
                Ok((rows, Arc::new(whole)))
            }
            (Input::Tokens(_), _) | (_, GraphInput::Tokens { .. }) => {
                Err(Error::Step("the input is not of the graph's kind".into()))
            }
            (input, _) => {
                let seen = Visibility::default();
                let rows = evaluate_scaled(&self.model, input, context, &seen, &scales)?;
                Ok((rows, Arc::default()))
            }
        }
    }

    fn check(&self, step: &Step<'_>) -> Result<()> {
        let mut rows = 0;
        for (index, span) in step.spans.iter().enumerate() {
            let past = self.past.tokens(span.sequence)?.len();
            if step.spans[..index].iter().any(|other| other.sequence == span.sequence) {
                return Err(Error::Step(format!("{} is in two spans", span.sequence)));
            }
            let Input::Tokens(tokens) = span.input else { continue };
            if tokens.is_empty() {
                return Err(Error::Step(format!("{} is fed no token", span.sequence)));
            }
            let (needed, limit) = (past + tokens.len(), self.options.context);
            if needed > limit && !self.options.visibility.is_endless() {
                return Err(Error::ContextFull { sequence: span.sequence, needed, limit });
            }
            rows += tokens.len();
        }
        if rows > self.options.chunk {
            return Err(Error::Step(format!("{rows} rows, at most {}", self.options.chunk)));
        }
        Ok(())
    }
}

impl Past {
    fn tokens(&self, seq: SequenceId) -> Result<Arc<Vec<u32>>> {
        self.sequences.get(&seq).cloned().ok_or(Error::UnknownSequence(seq))
    }

    fn add(&mut self, tokens: Arc<Vec<u32>>) -> SequenceId {
        let seq = SequenceId(self.created);
        self.created += 1;
        self.sequences.insert(seq, tokens);
        seq
    }
}

impl KvCache for Past {
    fn create(&mut self) -> Result<SequenceId> {
        Ok(self.add(Arc::default()))
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.sequences.get(&seq).map_or(0, |tokens| tokens.len())
    }

    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        let tokens = self.sequences.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        Arc::make_mut(tokens).truncate(len);
        if let Some(scales) = self.scales.get_mut(&seq) {
            scales.truncate(len);
        }
        Ok(())
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        let tokens = self.tokens(seq)?;
        let scales = self.scales.get(&seq).cloned();
        let fork = self.add(tokens);
        self.scales.extend(scales.map(|scales| (fork, scales)));
        Ok(fork)
    }

    fn set_adapters(&mut self, seq: SequenceId, scales: &AdapterScales) -> Result<()> {
        scales.check(self.adapters)?;
        let len = self.tokens(seq)?.len();
        self.scales.entry(seq).or_default().set(len, scales.clone());
        Ok(())
    }

    fn remove(&mut self, seq: SequenceId) {
        self.sequences.remove(&seq);
        self.scales.remove(&seq);
    }

    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        let tokens = self.tokens(seq)?;
        to.write_all(&(tokens.len() as u32).to_le_bytes())?;
        for token in tokens.iter() {
            to.write_all(&token.to_le_bytes())?;
        }
        Ok(to.write_all(&hash(&tokens).to_le_bytes())?)
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        let mut word = || -> Result<u32> {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let count = word()?;
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(word()?);
        }
        if word()? != hash(&tokens) {
            return Err(Error::SavedSequence("it is damaged".into()));
        }
        Ok(self.add(Arc::new(tokens)))
    }

    fn usage(&self) -> CacheUsage {
        let distinct: BTreeMap<_, _> =
            self.sequences.values().map(|tokens| (Arc::as_ptr(tokens), tokens.len())).collect();
        let tokens: usize = distinct.values().sum();
        CacheUsage {
            sequences: self.sequences.len(),
            bytes_used: (tokens * size_of::<u32>()) as u64,
            bytes_resident: (tokens * size_of::<u32>()) as u64,
            bytes_limit: self.limit,
            page_tokens: 1,
            pages_used: tokens,
            ..CacheUsage::default()
        }
    }
}

/// FNV-1a over the tokens and their number.
fn hash(tokens: &[u32]) -> u32 {
    let start = 0x811c_9dc5 ^ tokens.len() as u32;
    tokens.iter().fold(start, |hash, token| (hash ^ token).wrapping_mul(0x0100_0193))
}
