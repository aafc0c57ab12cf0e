//! What a query sees, and blocks of neighbouring keys.

use std::ops::Range;

use crate::cache::KvRun;
use crate::kernels::KvRows;
use crate::program::{KEYS, SPLIT};

/// What a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Its own position.
    pub position: usize,
    /// The oldest position of its window.
    pub from: usize,
    /// The position behind the last it sees.
    pub to: usize,
    /// The first so many positions it sees too; at most `from`.
    pub sinks: usize,
}

impl View {
    /// Positions between the sinks and the window.
    pub fn gap(&self) -> usize {
        self.from - self.sinks
    }
}

/// Keys and values of neighbouring positions.
#[derive(Clone)]
pub(crate) struct Block<'a> {
    /// The first position.
    pub first: usize,
    pub len: usize,
    pub keys: KvRows<'a>,
    pub values: KvRows<'a>,
    /// Positions of the queries that see it in this form.
    pub seen_by: Range<usize>,
    /// They are sinks: a query's gap is closed by turning the query back.
    pub turned: bool,
}

impl Block<'_> {
    /// What a query sees of it, as a range of its rows.
    pub fn seen(&self, view: &View) -> Range<usize> {
        if !self.seen_by.contains(&view.position) {
            return 0..0;
        }
        let sees = if self.turned { 0..view.sinks } else { view.from..view.to };
        let start = sees.start.max(self.first);
        let end = sees.end.min(self.first + self.len);
        if start < end { start - self.first..end - self.first } else { 0..0 }
    }
}

/// Cuts positions where splits of the context begin. Every part comes with where its split begins.
pub(crate) fn splits_of(
    positions: Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>)> + Clone {
    let splits = positions.start / SPLIT..positions.end.div_ceil(SPLIT);
    let parts = splits.map(move |split| {
        let first = split * SPLIT;
        (first, positions.start.max(first)..positions.end.min(first + SPLIT))
    });
    parts.filter(|(_, part)| !part.is_empty())
}

/// Cuts a run, of sinks if it is to be `turned`, into blocks of at most [`KEYS`] keys that begin at
/// fixed places of a page.
pub(crate) fn blocks_of(
    run: KvRun<'_>,
    page_tokens: usize,
    turned: bool,
) -> impl Iterator<Item = Block<'_>> {
    let KvRun { first, len, keys, values, seen_by } = run;
    let mut next = first;
    std::iter::from_fn(move || {
        let start = next;
        if start >= first + len {
            return None;
        }
        next = block_at(start, page_tokens).end.min(first + len);
        Some(Block {
            first: start,
            len: next - start,
            keys: keys.from_row(start - first),
            values: from_row(values, start - first),
            seen_by: seen_by.clone(),
            turned,
        })
    })
}

/// The positions of the whole block that `position` is in, seen or not.
pub(crate) fn block_at(position: usize, page_tokens: usize) -> Range<usize> {
    let in_page = position % page_tokens;
    let (page, from) = (position - in_page, in_page / KEYS * KEYS);
    page + from..page + page_tokens.min(from + KEYS)
}

/// Latents have no values of their own.
fn from_row(values: KvRows<'_>, first: usize) -> KvRows<'_> {
    if values.stride() == 0 { values } else { values.from_row(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: usize, data: &[f32]) -> KvRun<'_> {
        let keys = KvRows::F32 { data, stride: 1 };
        let values = KvRows::F32 { data: &[], stride: 0 };
        KvRun { first, len: data.len(), keys, values, seen_by: 10..300 }
    }

    #[test]
    fn blocks_begin_at_fixed_places() {
        let data: Vec<f32> = (150..300).map(|i| i as f32).collect();
        let blocks: Vec<_> = blocks_of(run(150, &data), 1000, false).collect();
        let places: Vec<_> = blocks.iter().map(|block| (block.first, block.len)).collect();
        assert_eq!(places, [(150, 42), (192, 64), (256, 44)]);
        let KvRows::F32 { data, .. } = blocks[1].keys else { panic!("another format") };
        assert_eq!(data[0], 192.0);
        let blocks = blocks_of(run(97, &[0.0; 95]), 96, false);
        let places: Vec<_> = blocks.map(|block| (block.first, block.len)).collect();
        assert_eq!(places, [(97, 63), (160, 32)]);
    }

    #[test]
    fn a_block_is_whole_wherever_it_is_entered() {
        assert_eq!(block_at(150, 1000), 128..192);
        assert_eq!(block_at(192, 1000), 192..256);
        assert_eq!(block_at(97, 96), 96..160);
        assert_eq!(block_at(161, 96), 160..192);
    }

    #[test]
    fn splits_begin_at_fixed_positions() {
        let splits: Vec<_> = splits_of(SPLIT - 3..2 * SPLIT + 1).collect();
        let expected = [
            (0, SPLIT - 3..SPLIT),
            (SPLIT, SPLIT..2 * SPLIT),
            (2 * SPLIT, 2 * SPLIT..2 * SPLIT + 1),
        ];
        assert_eq!(splits, expected);
        assert_eq!(splits_of(7..7).count(), 0);
    }

    #[test]
    fn a_query_sees_its_window_and_its_sinks() {
        let block = |first, len, turned| Block {
            first,
            len,
            keys: KvRows::F32 { data: &[], stride: 1 },
            values: KvRows::F32 { data: &[], stride: 1 },
            seen_by: 10..300,
            turned,
        };
        let view = View { position: 40, from: 30, to: 41, sinks: 4 };
        assert_eq!(view.gap(), 26);
        assert_eq!(block(24, 8, false).seen(&view), 6..8);
        assert_eq!(block(40, 8, false).seen(&view), 0..1);
        assert_eq!(block(41, 8, false).seen(&view), 0..0);
        assert_eq!(block(0, 8, true).seen(&view), 0..4);
        assert_eq!(block(24, 8, false).seen(&View { position: 9, ..view }), 0..0);
    }
}
