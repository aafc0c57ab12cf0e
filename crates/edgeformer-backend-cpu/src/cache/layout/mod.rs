//! The geometry of a cache, from a graph's plan and a session's options alone: which heads form a
//! group, in which forms a group's pages are kept, what a page holds, how many there may be.

mod convert;
mod limits;
mod rules;
mod section;
mod windows;

use std::ops::Range;

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{CacheFormat, Result, SessionOptions, Window};

use crate::kernels::rotation;

pub(super) use convert::Converter;
pub(super) use limits::Budget;
pub(super) use section::Section;
use section::{Side, Storage};

/// The geometry of a cache.
#[derive(Debug)]
pub(super) struct Layout {
    /// Tokens that a page holds.
    pub page_tokens: usize,
    /// Tokens that one sequence may hold; without limit where `None`.
    pub context: Option<usize>,
    /// Heads of equal windows.
    pub groups: Vec<Group>,
    /// By cache slot.
    pub slots: Vec<SlotLayout>,
    /// What may be in memory, where that is bounded and the rest goes to a file.
    pub budget: Option<Budget>,
    /// Pages under construction have a form of their own.
    has_open: bool,
    /// Tokens behind its end after which a page is seen in its cold form.
    hot: Option<usize>,
    /// How many pools there are.
    pub pools: usize,
    /// Rows of the widest head.
    pub widest: usize,
}

/// In which form a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Under construction: what will be quantized is f16 until the page is full, for the newest
    /// tokens get most of the attention. On stories260k that takes the KL divergence of q8_0 from
    /// 0.0023 to 0.00017 (`cargo xtask bench cache`).
    Open,
    /// As `cache_type_k` and `cache_type_v` say.
    Main,
    /// Far from the sequence's end: as `tiers.cold` says.
    Cold,
}

/// Heads that share a table because they remember equally long.
#[derive(Debug)]
pub(super) struct Group {
    /// How many positions a query sees; all where `None`.
    pub window: Option<usize>,
    /// The first positions, which stay whatever the window.
    pub sinks: usize,
    /// Pages that hold them.
    pub sink_pages: usize,
    pub page_tokens: usize,
    /// Its heads, op by op.
    pub parts: Vec<Part>,
    /// By [`Form`]; `None` where pages are never in it.
    forms: [Option<FormLayout>; 3],
}

/// Heads of one op.
#[derive(Debug)]
pub(super) struct Part {
    pub slot: CacheSlot,
    /// Key-value heads.
    pub heads: Vec<usize>,
    key_dim: usize,
    value_dim: usize,
    key_block: usize,
    value_block: usize,
}

/// What a page of a group holds in one form.
#[derive(Debug)]
pub(super) struct FormLayout {
    /// Of each part.
    pub sections: Vec<Section>,
    /// Bytes of a page.
    pub bytes: usize,
    /// Pages that may be in use.
    pub limit: u64,
    /// Which pool they are from.
    pub pool: usize,
}

/// What an op's attention must know.
#[derive(Debug)]
pub(super) struct SlotLayout {
    /// Elements under one scale in keys that are codes.
    pub key_block: Option<usize>,
    /// Neighbouring elements of keys that are rotated together.
    pub rotation: Option<usize>,
    /// By key-value head.
    pub heads: Vec<HeadPlace>,
}

/// Where a head is.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadPlace {
    pub group: usize,
    /// Of the group.
    pub part: usize,
    /// Among the part's heads.
    pub head: usize,
    /// Among all heads of all slots.
    pub unit: usize,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Open, Self::Main, Self::Cold];
}

impl Layout {
    /// # Errors
    /// If options exclude each other or the plan, or nothing would fit.
    pub fn new(plan: &CachePlan, options: &SessionOptions) -> Result<Self> {
        rules::check(options)?;
        windows::check(plan, &options.visibility.window)?;
        let page_tokens = options.page_tokens.min(options.context);
        let visibility = &options.visibility;
        let formats = [options.cache_type_k, options.cache_type_v];
        let mut layout = Self {
            page_tokens,
            context: (!visibility.is_endless()).then_some(options.context),
            groups: Vec::new(),
            slots: Vec::with_capacity(plan.slots.len()),
            budget: None,
            has_open: formats.iter().any(|format| format.is_quantized()),
            hot: None,
            pools: 0,
            widest: 0,
        };
        let mut unit = 0;
        for (index, plan) in plan.slots.iter().enumerate() {
            let slot = CacheSlot(index as u32);
            let shape = Shape::new(slot, plan, options)?;
            let windows = windows::of_heads(slot, plan, page_tokens, &visibility.window)?;
            let own = matches!(visibility.window, Window::Adaptive { .. });
            let heads = windows.into_iter().enumerate().map(|(head, window)| {
                unit += 1;
                let group = layout.group(window, own.then_some(slot), visibility.sinks);
                layout.groups[group].push(slot, head, &shape, (group, unit - 1))
            });
            let heads = heads.collect();
            layout.widest = layout.widest.max(shape.key_dim).max(shape.value_dim);
            layout.slots.push(SlotLayout {
                key_block: shape.quantized_keys.then_some(shape.key_block),
                rotation: shape.rotation,
                heads,
            });
        }
        layout.add_forms(options);
        layout.set_limits(options)?;
        Ok(layout)
    }

    /// The group of a window, added if it is new; with `own`, one of that slot alone.
    fn group(&mut self, window: Option<usize>, own: Option<CacheSlot>, sinks: usize) -> usize {
        let found = self.groups.iter().position(|group| {
            group.window == window && own.is_none_or(|slot| group.parts[0].slot == slot)
        });
        found.unwrap_or_else(|| {
            let sinks = if window.is_some() { sinks } else { 0 };
            self.groups.push(Group {
                window,
                sinks,
                sink_pages: sinks.div_ceil(self.page_tokens),
                page_tokens: self.page_tokens,
                parts: Vec::new(),
                forms: [None, None, None],
            });
            self.groups.len() - 1
        })
    }

    /// Lays the pages out, form by form.
    fn add_forms(&mut self, options: &SessionOptions) {
        let has_bounds = options.visibility.attend_pages.is_some();
        let main = [options.cache_type_k, options.cache_type_v].map(Storage::of);
        let open = main.map(|storage| if storage != Storage::F32 { Storage::F16 } else { storage });
        let cold = options.tiers.cold.map(|format| [Storage::of(format); 2]);
        for group in &mut self.groups {
            group.forms = [
                // Bounds are found when a page is full.
                self.has_open.then(|| group.form(open, false)),
                Some(group.form(main, has_bounds)),
                cold.map(|cold| group.form(cold, has_bounds)),
            ];
        }
    }

    /// Where a head is.
    ///
    /// # Panics
    /// If the plan has no such slot, or the slot no such head: graphs are checked before they are
    /// compiled.
    pub fn place(&self, slot: CacheSlot, head: usize) -> HeadPlace {
        self.slots[slot.0 as usize].heads[head]
    }

    /// The form in which positions are first stored.
    pub fn base(&self) -> Form {
        if self.has_open { Form::Open } else { Form::Main }
    }

    /// Tokens behind its end after which a page is seen in its cold form, if there is one.
    pub fn hot(&self) -> Option<usize> {
        self.hot
    }

    /// Whether what a query sees depends on where pages end.
    pub fn cuts_by_page(&self) -> bool {
        self.has_open || self.hot.is_some()
    }

    /// Positions of the queries that see page number `page` in a form. It depends on nothing but
    /// these two and the session's options.
    pub fn seen_by(&self, form: Form, page: usize) -> Range<usize> {
        let start = page * self.page_tokens;
        let end = start + self.page_tokens;
        let closed = if self.has_open { end } else { start };
        let cold = self.hot.map_or(usize::MAX, |hot| end + hot - 1);
        match form {
            Form::Open => start..closed,
            Form::Main => closed..cold,
            Form::Cold => cold..usize::MAX,
        }
    }

    /// Whether a query at a position from `len` to `end` inclusive sees a page in a form.
    pub fn needs(&self, form: Form, page: usize, len: usize, end: usize) -> bool {
        let seen = self.seen_by(form, page);
        seen.start <= end && len < seen.end && !seen.is_empty()
    }

    /// The form in which the query at position `len` sees a page.
    pub fn form_at(&self, page: usize, len: usize) -> Form {
        let sees = |form: &Form| self.needs(*form, page, len, len);
        Form::ALL.into_iter().find(sees).unwrap_or(Form::Main)
    }

    /// All forms of all groups.
    pub fn forms(&self) -> impl Iterator<Item = &FormLayout> {
        self.groups.iter().flat_map(|group| group.forms.iter().flatten())
    }

    /// Bytes of all pages that may be in use.
    pub fn bytes_limit(&self) -> u64 {
        let bytes = self.forms().map(|form| (form.bytes as u64).saturating_mul(form.limit));
        bytes.fold(0, u64::saturating_add)
    }

    /// Bytes of one token over all groups, as it is kept in full pages.
    pub fn bytes_per_token(&self) -> u64 {
        self.groups.iter().map(|group| group.record_bytes(Form::Main) as u64).sum()
    }
}

/// Of an op: what a token has, and how it must be cut.
struct Shape {
    heads: usize,
    key_dim: usize,
    value_dim: usize,
    key_block: usize,
    value_block: usize,
    quantized_keys: bool,
    rotation: Option<usize>,
}

impl Shape {
    fn new(slot: CacheSlot, plan: &SlotPlan, options: &SessionOptions) -> Result<Self> {
        let key_formats = [Some(options.cache_type_k), options.tiers.cold];
        let value_formats = [Some(options.cache_type_v), options.tiers.cold];
        let key_formats = || key_formats.into_iter().flatten();
        let rotated = key_formats().any(|format| format == CacheFormat::Q4_0H);
        let (heads, key_parts, value_dim) = match *plan {
            SlotPlan::KeyValue { heads, key_dim, value_dim, .. } => {
                (heads, [key_dim, 0], value_dim)
            }
            // Neither blocks nor rotations mix latents and rotated keys.
            SlotPlan::Latent { rank, rope_dim } => (1, [rank, rope_dim], 0),
        };
        let key_dim = key_parts[0] + key_parts[1];
        // The powers of two that divide both widths are those that divide their bits together.
        let key_width = key_parts[0] | key_parts[1];
        Ok(Self {
            heads,
            key_dim,
            value_dim,
            key_block: rules::block(slot, "keys", key_formats(), key_width, &key_parts)?,
            value_block: rules::block(
                slot,
                "values",
                value_formats.into_iter().flatten(),
                value_dim,
                &[value_dim, 0],
            )?,
            quantized_keys: key_formats().any(CacheFormat::is_quantized),
            rotation: rotation(CacheFormat::Q4_0H, key_width).filter(|_| rotated),
        })
    }
}

impl Group {
    /// Adds a head of an op; returns where it is.
    fn push(
        &mut self,
        slot: CacheSlot,
        head: usize,
        shape: &Shape,
        (group, unit): (usize, usize),
    ) -> HeadPlace {
        if self.parts.last().is_none_or(|part| part.slot != slot) {
            let &Shape { key_dim, value_dim, key_block, value_block, .. } = shape;
            let heads = Vec::with_capacity(shape.heads);
            self.parts.push(Part { slot, heads, key_dim, value_dim, key_block, value_block });
        }
        let part = self.parts.len() - 1;
        let heads = &mut self.parts[part].heads;
        heads.push(head);
        HeadPlace { group, part, head: heads.len() - 1, unit }
    }

    fn form(&self, [keys, values]: [Storage; 2], has_bounds: bool) -> FormLayout {
        let page_tokens = self.page_tokens;
        let mut bytes = 0;
        let sections = self.parts.iter().map(|part| {
            let heads = part.heads.len();
            let keys = Side::new(keys, heads, part.key_dim, part.key_block, page_tokens);
            let values = Side::new(values, heads, part.value_dim, part.value_block, page_tokens);
            let (section, end) = Section::new(bytes, keys, values, has_bounds);
            bytes = end;
            section
        });
        FormLayout { sections: sections.collect(), bytes, limit: 0, pool: 0 }
    }

    /// What a page holds in a form.
    ///
    /// # Panics
    /// If no page of the cache is ever in that form.
    pub fn of_form(&self, form: Form) -> &FormLayout {
        self.forms[form as usize].as_ref().expect("a form that the cache has")
    }

    /// The pool of a form's pages, if there is one.
    pub fn pool(&self, form: Form) -> Option<usize> {
        self.forms[form as usize].as_ref().map(|form| form.pool)
    }

    /// Bytes of one token in a form, bounds not counted.
    pub fn record_bytes(&self, form: Form) -> usize {
        let rows = |side: &Side| side.heads * side.row_bytes();
        let sections = self.of_form(form).sections.iter();
        sections.map(|section| rows(&section.keys) + rows(&section.values)).sum()
    }

    /// The oldest position that the query at position `len` sees behind the sinks.
    pub fn visible_from(&self, len: usize) -> usize {
        self.window.map_or(0, |window| (len + 1).saturating_sub(window))
    }
}
