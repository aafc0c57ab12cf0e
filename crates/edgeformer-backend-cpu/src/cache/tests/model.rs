//! A cache and the plain model of it, driven together.

use std::collections::BTreeMap;

use edgeformer_core::graph::{CachePlan, CacheSlot};
use edgeformer_core::{AdapterScales, Error, KvCache, Rows, SequenceId, SessionOptions, Window};

use super::plain::{COLD, Forms, MAIN, OPEN, Row, Slot, TOKEN, drawn, under};
use crate::cache::PagedCache;

/// A cache and what should be in it.
pub(super) struct Checked {
    pub cache: PagedCache,
    pub plan: CachePlan,
    pub options: SessionOptions,
    pub sequences: BTreeMap<SequenceId, Plain>,
    pub slots: Vec<Slot>,
    pub page: usize,
    has_open: bool,
    /// As the cache has chosen it within the budget.
    hot: Option<usize>,
}

/// The least and the greatest of every key element.
type Bounds = (Vec<f32>, Vec<f32>);

/// A sequence of the plain model.
#[derive(Clone)]
pub(super) struct Plain {
    /// By slot and position.
    pub rows: Vec<Vec<Row>>,
    /// By slot and full page that was closed here.
    pub bounds: Vec<BTreeMap<usize, Bounds>>,
    /// By slot and head: the oldest position behind the sinks that is still held.
    pub held: Vec<Vec<usize>>,
    /// By slot: positions before it may go.
    wanted: Vec<usize>,
    /// Each with the choice among adapters that it was fed under: see [`under`].
    pub tokens: Vec<u32>,
    choice: u32,
    pub len: usize,
}

impl Checked {
    pub fn new(plan: CachePlan, options: SessionOptions) -> Self {
        let cache = super::open(&plan, &options, 7).unwrap().for_adapters(1);
        Self {
            slots: plan.slots.iter().map(|slot| Slot::new(slot, &options)).collect(),
            page: options.page_tokens.min(options.context),
            has_open: options.cache_type_k.is_quantized() || options.cache_type_v.is_quantized(),
            hot: cache.layout.hot(),
            sequences: BTreeMap::new(),
            cache,
            plan,
            options,
        }
    }

    fn empty(&self) -> Plain {
        Plain {
            rows: vec![Vec::new(); self.slots.len()],
            bounds: vec![BTreeMap::new(); self.slots.len()],
            held: self.slots.iter().map(|slot| vec![0; slot.keys.heads]).collect(),
            wanted: vec![0; self.slots.len()],
            tokens: Vec::new(),
            choice: 0,
            len: 0,
        }
    }

    pub fn create(&mut self) -> SequenceId {
        let seq = self.cache.create().unwrap();
        self.sequences.insert(seq, self.empty());
        seq
    }

    /// The sequence that a drawn number stands for.
    pub fn pick(&self, index: usize) -> Option<SequenceId> {
        let count = self.sequences.len();
        self.sequences.keys().nth(index.checked_rem(count)?).copied()
    }

    fn plain(&mut self, seq: SequenceId) -> &mut Plain {
        self.sequences.get_mut(&seq).unwrap()
    }

    /// The sinks of a head and the window that it is stored for.
    pub fn window(&self, slot: usize, head: usize) -> (usize, Option<usize>) {
        let window = self.cache.window(CacheSlot(slot as u32), head);
        (if window.is_some() { self.options.visibility.sinks } else { 0 }, window)
    }

    /// The oldest position behind the sinks that the query at `len` needs.
    pub fn needed(&self, plain: &Plain, slot: usize, head: usize, len: usize) -> usize {
        let window = self.window(slot, head).1;
        let visible = (len + 1).saturating_sub(window.unwrap_or(usize::MAX));
        visible.max(plain.wanted[slot].min(len))
    }

    /// Positions of queries that see a page in a form.
    pub fn form(&self, position: usize, query: usize) -> usize {
        let end = (position / self.page + 1) * self.page;
        match self.hot {
            _ if self.has_open && query < end => OPEN,
            Some(hot) if end + hot <= query + 1 => COLD,
            _ => MAIN,
        }
    }

    /// A step over these spans of tokens; rolled back in the end unless `commit`.
    pub fn step(&mut self, spans: &[(SequenceId, Vec<u32>)], commit: bool) {
        let before = self.cache.usage();
        let endless = self.options.visibility.is_endless();
        let context = if endless { usize::MAX } else { self.options.context };
        let too_long =
            spans.iter().any(|(seq, tokens)| self.sequences[seq].len + tokens.len() > context);
        let counts: Vec<_> = spans.iter().map(|(seq, tokens)| (*seq, tokens.len())).collect();
        if let Err(error) = self.cache.reserve(&counts) {
            let crowded = self.sequences.len() > self.options.sequences;
            assert!(too_long || crowded, "there is room: {error}");
            let usage = self.cache.usage();
            assert_eq!(usage.pages_used, before.pages_used, "a refused step changes nothing");
            return;
        }
        assert!(!too_long, "a step beyond the context is refused");
        spans.iter().for_each(|(seq, tokens)| {
            self.release(*seq, tokens.len());
            self.cache.note_tokens(*seq, tokens);
        });
        for slot in 0..self.slots.len() {
            spans.iter().for_each(|(seq, tokens)| self.store(slot, *seq, tokens));
            self.cache.fetch(CacheSlot(slot as u32)).unwrap();
            for (seq, tokens) in spans {
                let len = self.sequences[seq].len;
                (len..=len + tokens.len()).for_each(|query| self.check_slot(slot, *seq, query));
            }
        }
        if !commit {
            self.cache.rollback();
            return spans.iter().for_each(|(seq, _)| self.forget(*seq));
        }
        self.cache.commit();
        for (seq, tokens) in spans {
            self.close(*seq, tokens);
        }
    }

    /// What a reservation lets go.
    fn release(&mut self, seq: SequenceId, count: usize) {
        let plain = self.sequences[&seq].clone();
        let (page, len) = (self.page, plain.len);
        for (slot, layout) in self.slots.clone().iter().enumerate().filter(|_| count > 0) {
            for head in 0..layout.keys.heads {
                let first =
                    (plain.held[slot][head] / page).max(self.window(slot, head).0.div_ceil(page));
                let seen = self.needed(&plain, slot, head, len) / page;
                if seen > first {
                    self.plain(seq).held[slot][head] = seen * page;
                }
            }
            for position in 0..len {
                let end = (position / page + 1) * page;
                // The first query of the step is the last that could see it as it was.
                let cold = self.form(position, len) == COLD;
                let row = &mut self.plain(seq).rows[slot][position];
                for (side, forms) in
                    [(layout.keys, &mut row.keys), (layout.values, &mut row.values)]
                {
                    forms[OPEN] = forms[OPEN].take().filter(|_| end > len);
                    if cold {
                        side.make(forms, MAIN, COLD);
                        forms[MAIN] = None;
                    }
                }
            }
        }
    }

    fn store(&mut self, slot: usize, seq: SequenceId, tokens: &[u32]) {
        let Slot { keys, values } = self.slots[slot];
        let (key_width, value_width) = (keys.heads * keys.dim, values.heads * values.dim);
        let first = self.sequences[&seq].len;
        let fed = under(self.sequences[&seq].choice, tokens);
        let all = [&self.sequences[&seq].tokens[..first], &fed].concat();
        let draw = |side, width| -> Vec<f32> {
            (first..all.len()).flat_map(|p| drawn(&all[..=p], slot, side, width)).collect()
        };
        let (key_rows, value_rows) = (draw(0, key_width), draw(1, value_width));
        if tokens.is_empty() {
            return;
        }
        let rows = (value_width > 0).then(|| Rows::new(&value_rows, value_width));
        let key_rows = Rows::new(&key_rows, key_width);
        self.cache.store(CacheSlot(slot as u32), seq, first, key_rows, rows);
        self.plain(seq).rows[slot].truncate(first);
        for index in 0..tokens.len() {
            let value = rows.map_or(&[][..], |rows| rows.row(index));
            let row = Row { keys: keys.store(key_rows.row(index)), values: values.store(value) };
            self.plain(seq).rows[slot].push(row);
        }
        self.make_full(slot, seq, first);
    }

    /// Pages that became full behind position `first`: their closed forms and bounds.
    fn make_full(&mut self, slot: usize, seq: SequenceId, first: usize) {
        let (page, layout) = (self.page, self.slots[slot]);
        let plain = self.sequences.get_mut(&seq).unwrap();
        let rows = &mut plain.rows[slot];
        for number in first / page..rows.len() / page {
            let rows = &mut rows[number * page..(number + 1) * page];
            for row in &mut *rows {
                layout.keys.make(&mut row.keys, OPEN, MAIN);
                layout.values.make(&mut row.values, OPEN, MAIN);
            }
            let keys = || rows.iter().map(|row| row.keys[MAIN].as_ref().unwrap());
            let fold = |pick: fn(f32, f32) -> f32| {
                let two = |a: Vec<f32>, b: &Vec<f32>| {
                    a.iter().zip(b).map(|(&a, &b)| pick(a, b)).collect()
                };
                keys().skip(1).fold(keys().next().unwrap().clone(), two)
            };
            plain.bounds[slot].insert(number, (fold(f32::min), fold(f32::max)));
        }
    }

    /// What a step that was rolled back has stored.
    fn forget(&mut self, seq: SequenceId) {
        let (page, len) = (self.page, self.sequences[&seq].len);
        let cold: Vec<bool> = (0..len).map(|position| self.form(position, len) == COLD).collect();
        let plain = self.plain(seq);
        for row in plain.rows.iter_mut().flat_map(|rows| rows.iter_mut().zip(&cold)) {
            if let (row, false) = row {
                (row.keys[COLD], row.values[COLD]) = (None, None);
            }
        }
        for (rows, bounds) in plain.rows.iter_mut().zip(&mut plain.bounds) {
            rows.truncate(len);
            bounds.retain(|number, _| (number + 1) * page <= len);
            for row in &mut rows[len / page * page..] {
                let base = if row.keys[OPEN].is_some() { OPEN } else { MAIN };
                for forms in [&mut row.keys, &mut row.values] {
                    let kept = forms[base].take();
                    *forms = Forms::default();
                    forms[base] = kept;
                }
            }
        }
    }

    /// What a committed step leaves: of the open forms the last one closed.
    fn close(&mut self, seq: SequenceId, tokens: &[u32]) {
        let page = self.page;
        let plain = self.plain(seq);
        let from = plain.len;
        plain.len += tokens.len();
        plain.tokens.extend(under(plain.choice, tokens));
        let len = plain.len;
        for number in from / page..(len / page).saturating_sub(1) {
            plain.drop_form(OPEN, number * page..(number + 1) * page);
        }
        for position in 0..len {
            // What was cold for the last page's queries is cold for good.
            if self.form(position, len.saturating_sub(page)) == COLD {
                for (slot, layout) in self.slots.clone().iter().enumerate() {
                    let row = &mut self.plain(seq).rows[slot][position];
                    layout.keys.make(&mut row.keys, MAIN, COLD);
                    layout.values.make(&mut row.values, MAIN, COLD);
                    (row.keys[MAIN], row.values[MAIN]) = (None, None);
                }
            }
        }
    }

    /// What follows is fed under other scales of the adapter; none are the usual one.
    pub fn choose(&mut self, seq: SequenceId, choice: u32) {
        let scales = match choice {
            0 => AdapterScales::default(),
            _ => AdapterScales::new(&[choice as f32]).unwrap(),
        };
        self.cache.set_adapters(seq, &scales).unwrap();
        self.plain(seq).choice = choice;
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

    /// An adaptive window follows.
    pub fn hold_from(&mut self, seq: SequenceId, slot: usize, back: usize) {
        if matches!(self.options.visibility.window, Window::Adaptive { .. }) {
            let slot = slot % self.slots.len();
            let position = self.sequences[&seq].len.saturating_sub(back);
            self.cache.hold_from(CacheSlot(slot as u32), seq, position);
            self.plain(seq).wanted[slot] = position;
        }
    }

    pub fn truncate(&mut self, seq: SequenceId, len: usize) {
        let plain = &self.sequences[&seq];
        let heads = || {
            self.slots
                .iter()
                .enumerate()
                .flat_map(|(slot, layout)| (0..layout.keys.heads).map(move |head| (slot, head)))
        };
        let holds = |(slot, head): (usize, usize)| {
            let sinks = self.window(slot, head).0;
            let visible = (len + 1).saturating_sub(self.window(slot, head).1.unwrap_or(usize::MAX));
            let wanted = plain.wanted[slot].min(len.saturating_sub(1));
            let needed = visible.max(sinks).max(wanted);
            len <= sinks || needed >= len || needed >= plain.held[slot][head]
        };
        let fits = len == 0 || len >= plain.len || heads().all(holds);
        match self.cache.truncate(seq, len) {
            Ok(()) => assert!(fits, "truncation to {len} of what is gone"),
            // Making the forms that a shorter sequence sees may ask for pages.
            Err(Error::CacheFull { .. }) => {
                assert!(fits && (self.has_open || self.hot.is_some()));
                return;
            }
            Err(error) => return assert!(!fits, "truncation to {len}: {error}"),
        }
        if len < self.sequences[&seq].len {
            self.shorten(seq, len);
        }
    }

    fn shorten(&mut self, seq: SequenceId, len: usize) {
        let sinks: Vec<Vec<usize>> = self
            .slots
            .iter()
            .enumerate()
            .map(|(slot, layout)| {
                (0..layout.keys.heads).map(|head| self.window(slot, head).0).collect()
            })
            .collect();
        let forms: Vec<usize> = (0..len).map(|position| self.form(position, len)).collect();
        let slots = self.slots.clone();
        let page = self.page;
        let plain = self.plain(seq);
        plain.len = len;
        plain.tokens.truncate(len);
        for slot in 0..slots.len() {
            plain.wanted[slot] = plain.wanted[slot].min(len);
            for (held, &sinks) in plain.held[slot].iter_mut().zip(&sinks[slot]) {
                *held = if len <= sinks { 0 } else { len.min(*held) };
            }
            plain.rows[slot].truncate(len);
            plain.bounds[slot].retain(|number, _| (number + 1) * page <= len);
            for (position, row) in plain.rows[slot].iter_mut().enumerate() {
                let sides =
                    [(slots[slot].keys, &mut row.keys), (slots[slot].values, &mut row.values)];
                for (side, kept) in sides {
                    let source = [MAIN, OPEN, COLD].into_iter().find(|&form| kept[form].is_some());
                    if let Some(source) = source {
                        side.make(kept, source, forms[position]);
                    }
                    if forms[position] != COLD {
                        kept[COLD] = None;
                    }
                    if position / page == len / page {
                        let form = kept[forms[position]].take();
                        *kept = Forms::default();
                        kept[forms[position]] = form;
                    }
                }
            }
        }
    }

    /// Saves a sequence, and reads it back into this cache and into one with other pages.
    pub fn save(&mut self, seq: SequenceId, page_tokens: usize) {
        let mut bytes = Vec::new();
        self.cache.export(seq, &mut bytes).unwrap();
        let options = SessionOptions { page_tokens, ..self.options.clone() };
        let mut other = match super::open(&self.plan, &options, 7) {
            Ok(other) if other.configuration == self.cache.configuration => other,
            _ => super::open(&self.plan, &self.options, 7).unwrap(),
        };
        let there = other.import(&mut bytes.as_slice()).unwrap();
        assert_eq!(other.len(there), self.sequences[&seq].len);
        let mut again = Vec::new();
        other.export(there, &mut again).unwrap();
        assert_eq!(again, bytes, "what was read is what was written");

        let before = self.cache.usage();
        match self.cache.import(&mut bytes.as_slice()) {
            Ok(copy) => {
                let plain = Plain { choice: 0, ..self.imported(&self.sequences[&seq]) };
                self.sequences.insert(copy, plain);
            }
            Err(error) => {
                assert!(self.sequences.len() >= self.options.sequences, "there is room: {error}");
                assert_eq!(self.cache.usage().pages_used, before.pages_used);
            }
        }
    }

    /// What a saved copy has: what the next query sees.
    fn imported(&self, plain: &Plain) -> Plain {
        let mut copy = plain.clone();
        for slot in 0..self.slots.len() {
            for head in 0..self.slots[slot].keys.heads {
                let needed = self.needed(plain, slot, head, plain.len).min(plain.len);
                copy.held[slot][head] = needed.max(plain.held[slot][head]);
            }
            copy.wanted[slot] = 0;
            for (position, row) in copy.rows[slot].iter_mut().enumerate() {
                let seen = self.form(position, plain.len);
                let Slot { keys, values } = self.slots[slot];
                for (side, forms) in [(keys, &mut row.keys), (values, &mut row.values)] {
                    side.make(forms, MAIN, COLD);
                    (0..3).filter(|&form| form != seen).for_each(|form| forms[form] = None);
                }
            }
        }
        copy
    }

    /// Begins a sequence like others; it shares what is still there.
    pub fn adopt(&mut self, tokens: &[u32], choice: u32) -> usize {
        let seq = self.create();
        self.choose(seq, choice);
        let shared = self.cache.adopt(seq, tokens).unwrap();
        assert!(shared <= tokens.len() && shared.is_multiple_of(self.page));
        let tokens = under(choice, &tokens[..shared]);
        // The rows are those that a sequence of its own would have stored.
        for (slot, layout) in self.slots.clone().iter().enumerate() {
            for position in 0..shared {
                let draw = |side, width| drawn(&tokens[..=position], slot, side, width);
                let keys = layout.keys.store(&draw(0, layout.keys.heads * layout.keys.dim));
                let values = layout.values.store(&draw(1, layout.values.heads * layout.values.dim));
                self.plain(seq).rows[slot].push(Row { keys, values });
            }
            self.make_full(slot, seq, 0);
            for position in 0..shared {
                let cold = self.form(position, shared) == COLD;
                let row = &mut self.plain(seq).rows[slot][position];
                for (side, forms) in
                    [(layout.keys, &mut row.keys), (layout.values, &mut row.values)]
                {
                    forms[OPEN] = None;
                    if cold {
                        side.make(forms, MAIN, COLD);
                        forms[MAIN] = None;
                    }
                }
            }
            for head in 0..layout.keys.heads {
                let sinks = self.window(slot, head).0.div_ceil(self.page);
                let plain = &self.sequences[&seq];
                let first = self.needed(plain, slot, head, shared) / self.page;
                if first > sinks {
                    self.plain(seq).held[slot][head] = first * self.page;
                }
            }
        }
        let plain = self.plain(seq);
        plain.len = shared;
        plain.tokens = tokens;
        shared
    }
}

impl Plain {
    /// The tokens alone.
    pub fn words(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token & TOKEN).collect()
    }

    fn drop_form(&mut self, form: usize, positions: std::ops::Range<usize>) {
        for rows in &mut self.rows {
            for row in &mut rows[positions.clone()] {
                (row.keys[form], row.values[form]) = (None, None);
            }
        }
    }
}
