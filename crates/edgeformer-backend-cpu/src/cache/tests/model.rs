//! The plain model.

use std::collections::{BTreeMap, BTreeSet};

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{CacheFormat, KvCache, Rows, SequenceId, SessionOptions};
use half::f16;

use crate::cache::PagedCache;
use crate::cache::layout::Form;
use crate::kernels::KvRows;

/// A cache and what should be in it.
pub(super) struct Checked {
    pub cache: PagedCache,
    pub plan: CachePlan,
    pub options: SessionOptions,
    pub sequences: BTreeMap<SequenceId, Plain>,
    /// Makes every stored value another one.
    drawn: u32,
}

/// A sequence of the plain model.
#[derive(Clone)]
pub(super) struct Plain {
    /// Keys and values of every slot and position.
    rows: Vec<Vec<(Vec<f32>, Vec<f32>)>>,
    /// The oldest position that each slot must still hold.
    held: Vec<usize>,
    pub len: usize,
}

/// The oldest position that the query at `len` sees.
fn visible(len: usize, window: Option<usize>) -> usize {
    (len + 1).saturating_sub(window.unwrap_or(usize::MAX))
}

impl Checked {
    pub fn new(plan: CachePlan, options: SessionOptions) -> Self {
        let cache = super::open(&plan, &options, 7).unwrap();
        Self { cache, plan, options, sequences: BTreeMap::new(), drawn: 0 }
    }

    pub fn create(&mut self) -> SequenceId {
        let seq = self.cache.create().unwrap();
        let slots = self.plan.slots.len();
        self.sequences
            .insert(seq, Plain { rows: vec![Vec::new(); slots], held: vec![0; slots], len: 0 });
        seq
    }

    /// The sequence that a drawn number stands for.
    pub fn pick(&self, index: usize) -> Option<SequenceId> {
        let count = self.sequences.len();
        self.sequences.keys().nth(index.checked_rem(count)?).copied()
    }

    /// A step over these spans; rolled back in the end unless `commit`.
    pub fn step(&mut self, spans: &[(SequenceId, usize)], commit: bool) {
        let before = self.cache.usage();
        let too_long =
            spans.iter().any(|(seq, count)| self.sequences[seq].len + count > self.options.context);
        if let Err(error) = self.cache.reserve(spans) {
            let crowded = self.sequences.len() > self.options.sequences;
            assert!(too_long || crowded, "there is room: {error}");
            assert_eq!(self.cache.usage(), before, "a refused step changes nothing");
            return;
        }
        assert!(!too_long, "a step beyond the context is refused");
        let page = self.options.page_tokens.min(self.options.context);
        for &(seq, count) in spans {
            self.release(seq, count, page);
            let first = self.sequences[&seq].len;
            self.store(seq, first, count);
            self.check_rows(seq, first + count);
        }
        if commit {
            self.cache.commit();
            spans.iter().for_each(|(seq, count)| self.plain(*seq).len += count);
        } else {
            self.cache.rollback();
        }
    }

    /// What a reservation may let go under a window.
    fn release(&mut self, seq: SequenceId, count: usize, page: usize) {
        let windows: Vec<_> = self.plan.slots.iter().map(|slot| slot.window()).collect();
        let plain = self.plain(seq);
        for (held, window) in plain.held.iter_mut().zip(windows).filter(|_| count > 0) {
            let first_page = visible(plain.len, window) / page;
            if first_page > *held / page {
                *held = first_page * page;
            }
        }
    }

    fn store(&mut self, seq: SequenceId, first: usize, count: usize) {
        for slot in 0..self.plan.slots.len() {
            let (key_width, value_width) = self.plan.slots[slot].elements();
            let keys: Vec<f32> = (0..count * key_width).map(|_| self.draw()).collect();
            let values: Vec<f32> = (0..count * value_width).map(|_| self.draw()).collect();
            let rows = Rows::new(&keys, key_width);
            let value_rows = (value_width > 0).then(|| Rows::new(&values, value_width));
            self.cache.store(CacheSlot(slot as u32), seq, first, rows, value_rows);
            let plain = &mut self.plain(seq).rows[slot];
            plain.truncate(first);
            for index in 0..count {
                let value = value_rows.map_or(Vec::new(), |rows| rows.row(index).to_vec());
                plain.push((rows.row(index).to_vec(), value));
            }
        }
    }

    fn draw(&mut self) -> f32 {
        self.drawn = self.drawn.wrapping_add(1);
        (self.drawn.wrapping_mul(2_654_435_761) >> 8) as f32 / 65_536.0 - 128.0
    }

    pub fn fork(&mut self, seq: SequenceId) {
        let copy = self.cache.fork(seq).unwrap();
        self.sequences.insert(copy, self.sequences[&seq].clone());
    }

    pub fn remove(&mut self, seq: SequenceId) {
        self.cache.remove(seq);
        self.sequences.remove(&seq);
        assert!(self.cache.fork(seq).is_err(), "a removed sequence is gone");
    }

    pub fn truncate(&mut self, seq: SequenceId, len: usize) {
        let windows: Vec<_> = self.plan.slots.iter().map(|slot| slot.window()).collect();
        let plain = self.plain(seq);
        let held = plain.held.iter().zip(windows).all(|(&held, window)| {
            let visible = visible(len, window);
            visible >= len || visible >= held
        });
        let fits = len >= plain.len || held;
        if fits && len < plain.len {
            plain.len = len;
            plain.held.iter_mut().for_each(|held| *held = len.min(*held));
        }
        assert_eq!(self.cache.truncate(seq, len).is_ok(), fits, "truncation to {len}");
    }

    /// Saves a sequence, and reads it back into this cache and into one with other pages.
    pub fn save(&mut self, seq: SequenceId, page_tokens: usize) {
        let mut bytes = Vec::new();
        self.cache.export(seq, &mut bytes).unwrap();
        let options = SessionOptions { page_tokens, ..self.options.clone() };
        let mut other = super::open(&self.plan, &options, 7).unwrap();
        let there = other.import(&mut bytes.as_slice()).unwrap();
        assert_eq!(other.len(there), self.sequences[&seq].len);
        let mut again = Vec::new();
        other.export(there, &mut again).unwrap();
        assert_eq!(again, bytes, "what was read is what was written");

        let before = self.cache.usage();
        match self.cache.import(&mut bytes.as_slice()) {
            Ok(copy) => {
                let mut plain = self.sequences[&seq].clone();
                for (held, slot) in plain.held.iter_mut().zip(&self.plan.slots) {
                    *held = visible(plain.len, slot.window()).min(plain.len);
                }
                self.sequences.insert(copy, plain);
            }
            Err(error) => {
                assert!(self.sequences.len() >= self.options.sequences, "there is room: {error}");
                assert_eq!(self.cache.usage(), before);
            }
        }
    }

    fn plain(&mut self, seq: SequenceId) -> &mut Plain {
        self.sequences.get_mut(&seq).unwrap()
    }

    /// Everything that can be seen.
    pub fn check(&self) {
        for (&seq, plain) in &self.sequences {
            assert_eq!(self.cache.len(seq), plain.len);
            self.check_rows(seq, plain.len);
        }
        self.check_owners();
    }

    /// What queries of `seq` from its committed length on see of positions below `end`.
    fn check_rows(&self, seq: SequenceId, end: usize) {
        let plain = &self.sequences[&seq];
        for (slot, layout) in self.plan.slots.iter().enumerate() {
            let mut next = visible(plain.len, layout.window()).min(end);
            let heads = heads(layout);
            let start = next;
            for head in 0..heads {
                next = start;
                let runs =
                    self.cache.runs(CacheSlot(slot as u32), head, seq, start..end, end..end + 1);
                for run in runs {
                    assert_eq!(run.first, next, "runs ascend without gaps");
                    let rows = &plain.rows[slot][next..next + run.len];
                    let part = |row: &Vec<f32>| {
                        let dim = row.len() / heads;
                        row[head * dim..][..dim].to_vec()
                    };
                    let keys: Vec<f32> = rows.iter().flat_map(|(key, _)| part(key)).collect();
                    let values: Vec<f32> = rows.iter().flat_map(|(_, value)| part(value)).collect();
                    same(run.keys, &keys, self.options.cache_type_k);
                    if !values.is_empty() {
                        same(run.values, &values, self.options.cache_type_v);
                    }
                    next += run.len;
                }
            }
            assert_eq!(next, end, "runs cover what is asked for");
        }
    }

    /// Every listed page has as many owners as lists, and no other page is in use.
    fn check_owners(&self) {
        let mut pages_used = 0;
        let mut bytes_used = 0;
        for (index, group) in self.cache.layout.groups.iter().enumerate() {
            for form in Form::ALL {
                let Some(pool) = group.pool(form) else { continue };
                let tables = self.cache.sequences.values().map(|sequence| &sequence.tables[index]);
                let entries = tables.flat_map(|table| table.entries(group));
                let pages: BTreeSet<u32> = entries
                    .filter_map(|(_, entry)| entry.get(form))
                    .map(|page| page.number())
                    .collect();
                pages_used += pages.len() * group.parts.len();
                bytes_used += pages.len() * group.of_form(form).bytes;
                assert_eq!(self.cache.pools.all[pool].used(), pages.len());
            }
        }
        let usage = self.cache.usage();
        assert_eq!(usage.pages_used, pages_used);
        assert_eq!(usage.bytes_used, bytes_used as u64);
        assert!(usage.bytes_used <= usage.bytes_limit);
    }
}

fn heads(slot: &SlotPlan) -> usize {
    match *slot {
        SlotPlan::KeyValue { heads, .. } => heads,
        SlotPlan::Latent { .. } => 1,
    }
}

fn same(found: KvRows<'_>, expected: &[f32], format: CacheFormat) {
    match (found, format) {
        (KvRows::F32 { data, .. }, CacheFormat::F32) => assert_eq!(data, expected),
        (KvRows::F16 { data, .. }, CacheFormat::F16) => {
            let expected: Vec<f16> = expected.iter().map(|&value| f16::from_f32(value)).collect();
            assert_eq!(data, expected);
        }
        (found, format) => panic!("{found:?} is not {}", format.name()),
    }
}
