//! Saved sequences: a small binary format of our own, for offload tiers and saved prompts.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `EFKVSEQ` and a zero |
//! | 4 | version, 2 |
//! | 8 | fingerprint of the graph |
//! | 4 + n | length and text of the [configuration](configuration): formats, and whatever else decides what is stored |
//! | 8 | tokens that the sequence has seen |
//! | | for each head, in sessions with eviction: |
//! | 8 | its oldest entry |
//! | | for each group of heads: |
//! | 8 | the oldest position behind the sinks that the next query sees |
//! | | for each position from 0 to the sinks' end and from there to the last: keys and values of each op, as stored; behind the last of a full page the bounds of its keys, if the session chooses pages by them |
//! | 8 | FNV-1a of everything before |
//!
//! A position is written over all ops at once, in the form in which the next query sees it, so
//! that a reader needs a page only when data for it have come: lengths in the file are never
//! trusted with memory. Unless the configuration says otherwise, the pages of the reader may be of
//! another size than the writer's.

mod read;
mod write;

use edgeformer_core::saved::Fnv;
use edgeformer_core::{Eviction, HeadWindows, SessionOptions, Visibility, Window};

use super::layout::{Group, Layout};

const MAGIC: [u8; 8] = *b"EFKVSEQ\0";
const VERSION: u32 = 2;
/// Configurations are a few words; tables of windows appear as a number.
const LONGEST_CONFIGURATION: usize = 1 << 10;

/// What reader and writer must agree on, as a line of text.
pub(super) fn configuration(options: &SessionOptions, layout: &Layout) -> String {
    let Visibility { window, sinks, attend_pages, eviction } = &options.visibility;
    let mut words = vec![
        format!("k={}", options.cache_type_k.name()),
        format!("v={}", options.cache_type_v.name()),
    ];
    match window {
        Window::Model => {}
        Window::Tokens(tokens) => words.push(format!("window={tokens}")),
        Window::Heads(table) => words.push(format!("windows={:016x}", fingerprint(table))),
        Window::Adaptive { least, most } => words.push(format!("window={least}..{most}")),
    }
    if *sinks > 0 {
        words.push(format!("sinks={sinks}"));
    }
    if let Some(Eviction { policy, keep }) = eviction {
        words.push(format!("evict={} keep={keep}", policy.name()));
    }
    if attend_pages.is_some() {
        words.push("bounds".into());
    }
    if let (Some(cold), Some(hot)) = (options.tiers.cold, layout.hot()) {
        words.push(format!("cold={} hot={hot}", cold.name()));
    }
    // Windows of heads are whole pages, and adaptive ones change at the end of pages.
    let by_page = matches!(window, Window::Heads(_) | Window::Adaptive { .. });
    if layout.cuts_by_page() || attend_pages.is_some() || by_page {
        words.push(format!("page={}", layout.page_tokens));
    }
    words.join(" ")
}

/// Tells a table of windows from others.
fn fingerprint(table: &HeadWindows) -> u64 {
    let mut hash = Fnv::default();
    for window in table.slots.iter().flat_map(|slot| slot.iter().chain([&Some(0)])) {
        hash.add(&window.map_or(u64::MAX, |window| window as u64).to_le_bytes());
    }
    hash.0
}

/// Where positions without a gap behind them begin: at 0, if the sinks reach the oldest.
fn begins_at(oldest: usize, group: &Group) -> usize {
    if oldest <= group.sinks { 0 } else { oldest }
}

/// The positions of a group that are saved.
fn positions(group: &Group, oldest: usize, len: usize) -> impl Iterator<Item = usize> + use<> {
    (0..group.sinks.min(oldest)).chain(oldest..len)
}
