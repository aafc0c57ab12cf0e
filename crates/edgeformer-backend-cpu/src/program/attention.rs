//! How attention is cut into jobs, from shapes alone: what a thread needs room for.

use edgeformer_core::graph::{Attention, LatentAttention};
use edgeformer_core::{LatentForm, Op, SessionOptions, Window};

use super::buffers::Capacity;

/// Queries that a thread takes through the keys together: each key is read once for all of them.
const QUERIES: usize = 32;
/// Neighbouring keys that queries meet together.
pub(crate) const KEYS: usize = 64;
/// Positions of a split of the context. Part of the results' bits: what a query gets of every
/// split is added up in their order.
pub(crate) const SPLIT: usize = 256;
/// Splits whose parts are kept until they are added up.
const ROUND: usize = 32;

/// The jobs of an attention op: `rows` query rows by `heads` query heads each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jobs {
    /// Query rows of a job, of one span.
    pub rows: usize,
    /// Query heads of a job. They read the same keys.
    pub heads: usize,
    /// Width of a query and of a key.
    pub key_dim: usize,
    /// Width of what is summed up: a value head, or a latent.
    pub value_dim: usize,
}

impl Jobs {
    /// A job has the query heads of one key-value head.
    pub fn grouped(attention: &Attention) -> Self {
        let heads = attention.heads / attention.kv_heads;
        let (key_dim, value_dim) = (attention.key_dim, attention.value_dim);
        Self { rows: (QUERIES / heads).max(1), heads, key_dim, value_dim }
    }

    /// All heads read the same latents: a job has several, but every thread should have one.
    pub fn absorbed(attention: &LatentAttention, threads: usize) -> Self {
        let share = attention.heads.div_ceil(threads.max(1));
        let heads =
            (1..=share.min(QUERIES)).rev().find(|heads| attention.heads.is_multiple_of(*heads));
        let heads = heads.unwrap_or(1);
        Self {
            rows: (QUERIES / heads).max(1),
            heads,
            key_dim: attention.rank + attention.rope_dim,
            value_dim: attention.rank,
        }
    }

    /// Latents become one head's keys and values, which all rows of a span meet.
    pub fn expanded(attention: &LatentAttention) -> Self {
        let key_dim = attention.nope_dim + attention.rope_dim;
        Self { rows: QUERIES, heads: 1, key_dim, value_dim: attention.value_dim }
    }

    /// Queries of a job.
    pub fn queries(&self) -> usize {
        self.rows * self.heads
    }
}

/// Query rows whose contexts are shared out split by split, where there are too few of them to
/// give every thread jobs of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SplitJobs {
    /// Query rows, of one span.
    pub rows: usize,
    /// Query heads.
    pub heads: usize,
    /// Query heads that read the same keys.
    pub readers: usize,
    /// Width of a query and of a key.
    pub key_dim: usize,
    /// Width of what is summed up: a value head, or a latent.
    pub value_dim: usize,
}

impl SplitJobs {
    /// Those of grouped attention.
    pub fn grouped(attention: &Attention) -> Self {
        let &Attention { heads, kv_heads, key_dim, value_dim, .. } = attention;
        let rows = (QUERIES / heads).max(1);
        Self { rows, heads, readers: heads / kv_heads, key_dim, value_dim }
    }

    /// Those of absorbed latent attention.
    pub fn absorbed(attention: &LatentAttention) -> Self {
        let &LatentAttention { heads, rank, rope_dim, .. } = attention;
        let rows = (QUERIES / heads).max(1);
        Self { rows, heads, readers: heads, key_dim: rank + rope_dim, value_dim: rank }
    }

    /// Queries of all heads.
    pub fn queries(&self) -> usize {
        self.rows * self.heads
    }
}

/// Elements that contexts which are shared out need room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SplitRoom {
    /// Queries.
    pub count: usize,
    /// Elements of their rows.
    pub queries: usize,
    /// Elements of their sums.
    pub sums: usize,
    /// Splits whose parts are kept.
    pub parts: usize,
}

impl SplitRoom {
    /// Makes room for `op`, where there are threads to share with.
    pub fn add(&mut self, op: &Op, options: &SessionOptions, threads: usize) {
        let jobs = match op {
            _ if threads < 2 => return,
            Op::Attention(attention) if attention.slot.is_some() => SplitJobs::grouped(attention),
            Op::LatentAttention(attention) => SplitJobs::absorbed(attention),
            _ => return,
        };
        self.count = self.count.max(jobs.queries());
        self.queries = self.queries.max(jobs.queries() * jobs.key_dim);
        self.sums = self.sums.max(jobs.queries() * jobs.value_dim);
        self.parts = options.context.div_ceil(SPLIT).min(ROUND);
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        let sums = (2 * self.count + self.sums) * (self.parts + 1) * size_of::<f32>();
        (query_bytes(self.queries) + sums) as u64
    }
}

/// Elements that one thread needs room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ThreadRoom {
    /// Queries of a job.
    pub count: usize,
    /// Elements of their rows.
    pub queries: usize,
    /// Queries that have sums at the same time.
    pub summed: usize,
    /// Elements of their sums.
    pub sums: usize,
    /// Elements of the sums of a job's queries over a split.
    pub part: usize,
    /// Scores of a job that are kept: queries by context, if somebody watches.
    pub recorded: usize,
    /// Whether queries meet sinks behind a gap.
    pub turned: bool,
    /// Pages that queries choose among.
    pub pages: usize,
    /// A row of a table, or a head's part of some query rows.
    pub row: usize,
    /// Elements of a head's queries, of latents and of what they become for [`KEYS`] keys, and of a
    /// head's up-projection.
    pub expanded: usize,
}

impl ThreadRoom {
    /// Makes room for `op`.
    pub fn add(&mut self, op: &Op, capacity: &Capacity, options: &SessionOptions, threads: usize) {
        match op {
            Op::Attention(attention) => {
                self.add_jobs(&Jobs::grouped(attention), options, attention.slot.is_some());
                self.add_splits(&SplitJobs::grouped(attention), threads);
            }
            Op::LatentAttention(attention) => {
                let jobs = Jobs::absorbed(attention, threads);
                self.add_jobs(&jobs, options, true);
                self.add_splits(&SplitJobs::absorbed(attention), threads);
                let values = attention.rank + attention.value_dim;
                let part = jobs.rows * attention.nope_dim.max(values);
                self.row = self.row.max(part);
                if options.latent_form != LatentForm::Absorbed {
                    self.add_expanded(attention, capacity);
                }
            }
            _ => {}
        }
    }

    fn add_jobs(&mut self, jobs: &Jobs, options: &SessionOptions, cached: bool) {
        let visibility = &options.visibility;
        self.count = self.count.max(jobs.queries());
        self.queries = self.queries.max(jobs.queries() * jobs.key_dim);
        self.summed = self.summed.max(jobs.queries());
        self.sums = self.sums.max(jobs.queries() * jobs.value_dim);
        self.part = self.part.max(jobs.queries() * jobs.value_dim);
        if cached {
            self.turned |= visibility.sinks > 0;
            if visibility.attend_pages.is_some() {
                self.pages = options.context.div_ceil(options.page_tokens.max(1));
            }
            if is_watched(options) {
                // Of an endless stream the queries of a job see a window from each of their places.
                let beyond = if visibility.is_endless() { jobs.rows } else { 0 };
                let seen = options.context.saturating_add(beyond);
                let recorded = jobs.queries().saturating_mul(seen);
                self.recorded = self.recorded.max(recorded);
            }
        }
    }

    /// Queries that read the same keys meet a split together.
    fn add_splits(&mut self, jobs: &SplitJobs, threads: usize) {
        if threads > 1 {
            self.count = self.count.max(jobs.rows * jobs.readers);
        }
    }

    fn add_expanded(&mut self, attention: &LatentAttention, capacity: &Capacity) {
        let jobs = Jobs::expanded(attention);
        let latent = attention.rank + attention.rope_dim;
        let block = KEYS * (latent + attention.nope_dim + jobs.key_dim + jobs.value_dim);
        let queries = capacity.tokens.saturating_mul(jobs.key_dim);
        let fixed = block + attention.rank * attention.nope_dim;
        self.expanded = self.expanded.max(queries.saturating_add(fixed));
        self.count = self.count.max(jobs.queries());
        self.summed = self.summed.max(capacity.tokens);
        self.sums = self.sums.max(capacity.tokens.saturating_mul(jobs.value_dim));
        self.part = self.part.max(jobs.queries() * jobs.value_dim);
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> u64 {
        let parts = [
            query_bytes(self.queries) * if self.turned { 2 } else { 1 },
            self.count * SPLIT * size_of::<f32>(),
            self.summed * 2 * size_of::<f32>(),
            self.sums * size_of::<f32>(),
            self.count * 2 * size_of::<f32>(),
            self.part * size_of::<f32>(),
            self.recorded * size_of::<f32>(),
            self.row * size_of::<f32>(),
            self.expanded * size_of::<f32>(),
            self.pages * self.count * size_of::<bool>(),
            self.pages * size_of::<(f32, u32)>(),
        ];
        parts.into_iter().fold(0u64, |sum, part| sum.saturating_add(part as u64))
    }
}

/// Bytes of so many elements of query rows, as floats and in 8 bits.
fn query_bytes(elements: usize) -> usize {
    elements * (size_of::<f32>() + size_of::<i8>()) + query_scales(elements) * size_of::<f32>()
}

/// Scales of so many elements in 8 bits, for the shortest blocks.
pub(crate) fn query_scales(elements: usize) -> usize {
    elements.div_ceil(8)
}

/// Whether queries see parts of the past, or somebody looks at their attention: what the expanded
/// form of latent attention does not do.
pub(crate) fn shows_parts(options: &SessionOptions) -> bool {
    let visibility = &options.visibility;
    visibility.sinks > 0 || visibility.attend_pages.is_some() || is_watched(options)
}

/// Whether a session looks at where its attention goes.
fn is_watched(options: &SessionOptions) -> bool {
    let adaptive = matches!(options.visibility.window, Window::Adaptive { .. });
    options.observe_attention || adaptive || options.visibility.eviction.is_some()
}
