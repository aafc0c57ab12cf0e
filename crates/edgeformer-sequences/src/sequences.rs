use std::collections::BTreeMap;
use std::io::{Read, Write};

use edgeformer_core::graph::SlotPlan;
use edgeformer_core::{
    AdapterScales, CacheFormat, CacheUsage, Error, KvCache, Model, Result, SequenceId,
    SessionOptions, Step,
};

use crate::kept::{Buffer, Kept};
use crate::saved::{self, Form};
use crate::step::{self, Work};

type Make<K> = Box<dyn FnMut() -> Result<K> + Send>;

/// The sequences of a session, each with what a backend keeps of it.
pub struct Sequences<K> {
    live: BTreeMap<SequenceId, Sequence<K>>,
    created: u64,
    /// Contents that were ever there: see [`Sequence::content`].
    contents: u64,
    options: SessionOptions,
    form: Form,
    make: Make<K>,
    /// Adapters of the graph.
    adapters: usize,
}

struct Sequence<K> {
    len: usize,
    adapters: AdapterScales,
    /// The same for forks that have not parted, that is, whose tokens are those of the longest:
    /// what they hold counts once.
    content: u64,
    kept: K,
}

impl<K: Kept> Sequences<K> {
    /// No sequence yet. `stored` is how keys and values are kept, whatever the options ask for;
    /// `make` makes what is kept of an empty sequence.
    ///
    /// # Errors
    /// If the model lacks a weight that its graph names.
    pub fn new(
        model: &Model,
        options: &SessionOptions,
        stored: [CacheFormat; 2],
        make: Make<K>,
    ) -> Result<Self> {
        Ok(Self {
            live: BTreeMap::new(),
            created: 0,
            contents: 0,
            options: options.clone(),
            form: Form::new(model, options, stored)?,
            make,
            adapters: model.graph.adapters(),
        })
    }

    /// What a step asks, a span each, in their order.
    ///
    /// # Errors
    /// If it cannot run as it was asked for: nothing is changed.
    pub fn check(&self, graph: &edgeformer_core::Graph, step: &Step<'_>) -> Result<Vec<Work>> {
        let work = step::read(graph, &self.options, step, |seq| Ok(self.sequence(seq)?.len))?;
        if graph.is_causal() {
            self.check_room(&work)?;
        }
        Ok(work)
    }

    /// What is kept of a sequence.
    ///
    /// # Errors
    /// If it is unknown.
    pub fn kept(&mut self, seq: SequenceId) -> Result<&mut K> {
        let sequence = self.live.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        Ok(&mut sequence.kept)
    }

    /// What is kept of every sequence.
    pub fn all_kept(&mut self) -> impl Iterator<Item = (SequenceId, &mut K)> {
        self.live.iter_mut().map(|(&seq, sequence)| (seq, &mut sequence.kept))
    }

    /// How strongly adapters act on a sequence.
    pub fn adapters(&self, seq: SequenceId) -> &AdapterScales {
        const USUAL: &AdapterScales = &AdapterScales::USUAL;
        self.live.get(&seq).map_or(USUAL, |sequence| &sequence.adapters)
    }

    /// Makes the tokens of a step that has run part of their sequence.
    pub fn advance(&mut self, seq: SequenceId, tokens: usize) {
        let content = self.next_content();
        if let Some(sequence) = self.live.get_mut(&seq) {
            sequence.len += tokens;
            sequence.content = content;
        }
    }

    fn sequence(&self, seq: SequenceId) -> Result<&Sequence<K>> {
        self.live.get(&seq).ok_or(Error::UnknownSequence(seq))
    }

    fn next_content(&mut self) -> u64 {
        self.contents += 1;
        self.contents
    }

    fn add(&mut self, len: usize, content: u64, kept: K) -> SequenceId {
        let seq = SequenceId(self.created);
        self.created += 1;
        self.live.insert(seq, Sequence { len, adapters: AdapterScales::default(), content, kept });
        seq
    }

    /// Tokens that all sequences may hold together.
    fn room(&self) -> usize {
        self.options.context.saturating_mul(self.options.sequences)
    }

    fn check_room(&self, work: &[Work]) -> Result<()> {
        let mut held = 0;
        let mut shared: BTreeMap<u64, usize> = BTreeMap::new();
        for (&seq, sequence) in &self.live {
            match work.iter().find(|work| work.sequence == seq) {
                Some(work) => held += sequence.len + work.tokens,
                None => {
                    let longest = shared.entry(sequence.content).or_default();
                    *longest = sequence.len.max(*longest);
                }
            }
        }
        held += shared.values().sum::<usize>();
        let fed: usize = work.iter().map(|work| work.tokens).sum();
        match held <= self.room() {
            true => Ok(()),
            false => {
                let free = (self.room() + fed).saturating_sub(held);
                Err(Error::CacheFull { needed: fed, free })
            }
        }
    }

    /// Every buffer, those that are shared once.
    fn buffers(&self) -> BTreeMap<usize, Buffer> {
        let mut buffers = BTreeMap::new();
        for sequence in self.live.values() {
            sequence.kept.buffers(&mut |buffer| {
                buffers.insert(buffer.id, buffer);
            });
        }
        buffers
    }

    /// Bytes that so many tokens take in all slots.
    fn bytes_of(&self, tokens: usize) -> u64 {
        let slot = |slot: &SlotPlan| self.form.row_bytes(slot);
        let row: u64 = self.form.slots().iter().map(slot).sum();
        row.saturating_mul(tokens as u64)
    }
}

impl<K: Kept> KvCache for Sequences<K> {
    fn create(&mut self) -> Result<SequenceId> {
        let kept = (self.make)()?;
        let content = self.next_content();
        Ok(self.add(0, content, kept))
    }

    fn len(&self, seq: SequenceId) -> usize {
        self.live.get(&seq).map_or(0, |sequence| sequence.len)
    }

    fn truncate(&mut self, seq: SequenceId, len: usize) -> Result<()> {
        let sequence = self.live.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        if len >= sequence.len {
            return Ok(());
        }
        sequence.kept.truncate(len)?;
        sequence.len = len;
        Ok(())
    }

    fn fork(&mut self, seq: SequenceId) -> Result<SequenceId> {
        let Sequence { len, adapters, content, kept } = self.sequence(seq)?;
        let (len, adapters, content, kept) = (*len, adapters.clone(), *content, kept.fork()?);
        let fork = self.add(len, content, kept);
        self.set_adapters(fork, &adapters)?;
        Ok(fork)
    }

    fn set_adapters(&mut self, seq: SequenceId, scales: &AdapterScales) -> Result<()> {
        scales.check(self.adapters)?;
        let sequence = self.live.get_mut(&seq).ok_or(Error::UnknownSequence(seq))?;
        sequence.adapters = scales.clone();
        Ok(())
    }

    fn remove(&mut self, seq: SequenceId) {
        self.live.remove(&seq);
    }

    fn export(&mut self, seq: SequenceId, to: &mut dyn Write) -> Result<()> {
        let sequence = self.sequence(seq)?;
        saved::write(&self.form, &sequence.kept, sequence.len, to)
    }

    fn import(&mut self, from: &mut dyn Read) -> Result<SequenceId> {
        let mut kept = (self.make)()?;
        let len = saved::read(&self.form, &mut kept, self.options.context, from)?;
        let content = self.next_content();
        Ok(self.add(len, content, kept))
    }

    fn usage(&self) -> CacheUsage {
        let buffers = self.buffers();
        let bytes = |keep: fn(&Buffer) -> bool| {
            buffers.values().filter(|buffer| keep(buffer)).map(|buffer| buffer.bytes).sum()
        };
        CacheUsage {
            sequences: self.live.len(),
            bytes_used: bytes(|_| true),
            bytes_resident: bytes(|buffer| buffer.resident),
            bytes_spilled: bytes(|buffer| !buffer.resident),
            bytes_retained: 0,
            bytes_limit: self.bytes_of(self.room()),
            page_tokens: self.options.page_tokens,
            pages_used: buffers.len(),
        }
    }
}
