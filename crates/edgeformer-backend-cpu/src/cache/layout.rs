//! Which slots form a group, what a page of it holds, and how many pages there may be.

use edgeformer_core::graph::{CachePlan, CacheSlot, SlotPlan};
use edgeformer_core::{CacheFormat, Error, Result, SessionOptions};

/// The geometry of a cache, from a graph's plan and a session's options alone.
#[derive(Debug)]
pub(super) struct Layout {
    /// Tokens that a page holds.
    pub page_tokens: usize,
    /// Format of keys and latents.
    pub keys: CacheFormat,
    /// Format of values.
    pub values: CacheFormat,
    /// Slots of equal windows.
    pub groups: Vec<Group>,
    /// Group and index within it of every slot of the plan.
    places: Vec<(usize, usize)>,
}

/// Slots that share a table because they remember equally long.
#[derive(Debug)]
pub(super) struct Group {
    /// How many positions a query sees; all where `None`.
    pub window: Option<usize>,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Elements of a token on the key side, over all slots.
    pub key_elements: usize,
    /// Elements of a token on the value side, over all slots.
    pub value_elements: usize,
    /// Pages that may be in use.
    pub limit: u64,
}

/// Where a slot lies in the pages of its group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Keys, or latents with their rotated keys.
    pub keys: Side,
    /// Values; of width zero for latents.
    pub values: Side,
}

/// Keys or values of a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    /// Elements of a token on this side in the slots before this one.
    start: usize,
    /// Key-value heads.
    pub heads: usize,
    /// Width of a head.
    pub dim: usize,
}

impl Side {
    /// Elements of a token.
    pub fn elements(self) -> usize {
        self.heads * self.dim
    }

    /// Where the row of a head and a token of the page starts: `[slot][head][token][dim]`.
    pub fn element(self, head: usize, token: usize, page_tokens: usize) -> usize {
        (self.start + head * self.dim) * page_tokens + token * self.dim
    }
}

impl Layout {
    pub fn new(plan: &CachePlan, options: &SessionOptions) -> Self {
        let page_tokens = options.page_tokens.min(options.context).max(1);
        let mut groups: Vec<Group> = Vec::new();
        let mut places = Vec::with_capacity(plan.slots.len());
        for slot in &plan.slots {
            let window = slot.window();
            let group = groups.iter().position(|group| group.window == window);
            let group = group.unwrap_or_else(|| {
                groups.push(Group::empty(window, page_limit(window, page_tokens, options)));
                groups.len() - 1
            });
            places.push((group, groups[group].slots.len()));
            groups[group].push(slot);
        }
        let (keys, values) = (options.cache_type_k, options.cache_type_v);
        Self { page_tokens, keys, values, groups, places }
    }

    /// Whether all pages can be counted and one be allocated.
    pub fn check(&self) -> Result<()> {
        let countable = |group: &Group| {
            group.limit <= u64::from(u32::MAX) && self.page_bytes(group) <= isize::MAX as u64
        };
        if self.groups.iter().all(countable) {
            return Ok(());
        }
        Err(Error::Config(
            "a cache of more than 4294967295 pages: lower context or sequences, or raise page_tokens"
                .into(),
        ))
    }

    /// Group of a slot, and its place in that group's pages.
    ///
    /// # Panics
    /// If the plan has no such slot: graphs are checked before they are compiled.
    pub fn slot(&self, slot: CacheSlot) -> (usize, Slot) {
        let (group, index) = self.places[slot.0 as usize];
        (group, self.groups[group].slots[index])
    }

    /// Bytes of one page of a group, over all its slots.
    pub fn page_bytes(&self, group: &Group) -> u64 {
        self.token_bytes(group).saturating_mul(self.page_tokens as u64)
    }

    /// Bytes of one token in a group, over all its slots.
    pub fn token_bytes(&self, group: &Group) -> u64 {
        let bytes = |format: CacheFormat| if format == CacheFormat::F32 { 4 } else { 2 };
        (group.key_elements * bytes(self.keys) + group.value_elements * bytes(self.values)) as u64
    }

    /// Bytes of all pages that may be in use.
    pub fn bytes_limit(&self) -> u64 {
        self.groups
            .iter()
            .map(|group| self.page_bytes(group).saturating_mul(group.limit))
            .fold(0, u64::saturating_add)
    }

    /// Bytes of one token over all groups.
    pub fn bytes_per_token(&self) -> u64 {
        self.groups.iter().map(|group| self.token_bytes(group)).sum()
    }
}

impl Group {
    fn empty(window: Option<usize>, limit: u64) -> Self {
        Self { window, slots: Vec::new(), key_elements: 0, value_elements: 0, limit }
    }

    fn push(&mut self, plan: &SlotPlan) {
        let (heads, key_dim, value_dim) = match *plan {
            SlotPlan::KeyValue { heads, key_dim, value_dim, .. } => (heads, key_dim, value_dim),
            SlotPlan::Latent { rank, rope_dim } => (1, rank + rope_dim, 0),
        };
        let keys = Side { start: self.key_elements, heads, dim: key_dim };
        let values = Side { start: self.value_elements, heads, dim: value_dim };
        self.slots.push(Slot { keys, values });
        self.key_elements += keys.elements();
        self.value_elements += values.elements();
    }
}

/// Pages that `options.sequences` sequences of full length hold at the most, in the middle of a
/// step. With a window, a sequence holds the `window - 1` positions that the oldest query of the
/// step sees besides its own, and those of the step: at most `(n - 1) / page + 2` pages for `n`
/// neighbouring positions, wherever they start.
fn page_limit(window: Option<usize>, page_tokens: usize, options: &SessionOptions) -> u64 {
    let whole = options.context.div_ceil(page_tokens);
    let held = window.map_or(whole, |window| {
        let positions = window.saturating_add(options.chunk).saturating_sub(1).max(1);
        whole.min((positions - 1).div_ceil(page_tokens) + 1)
    });
    (held as u64).saturating_mul(options.sequences as u64)
}
