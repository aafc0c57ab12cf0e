//! Sessions that look at where attention goes: to tell it, to fit windows to it, to drop what it
//! passes over.
//!
//! A watched session takes a span's queries through attention head by head (so that what is
//! gathered of a head is added up in one order), segment by segment (so that what is learnt of a
//! page counts from the next page on, whatever the chunk).
//!
//! - `mass`: attention by distance, for `tune-window`
//! - `adaptive`: windows that grow and shrink
//! - `votes`: entries by the attention they received, for eviction
//! - `saved`: what of that goes into a saved sequence

mod adaptive;
mod mass;
mod saved;
mod votes;

use std::ops::Range;
use std::slice::{ChunksExactMut, ChunksMut};

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{AttentionMass, Graph, Result, SequenceId, SessionOptions, Window};

use super::attend::View;
use super::rows::SpanRows;
use crate::cache::PagedCache;

pub(super) use adaptive::{AdaptiveWindows, Bound};
pub(super) use votes::Votes;

/// What a session watches for.
#[derive(Default)]
pub(super) enum Watch {
    #[default]
    Nothing,
    Mass {
        mass: AttentionMass,
        sinks: usize,
    },
    Windows(AdaptiveWindows),
    Votes(Votes),
}

/// What is gathered of the queries of a job's heads.
pub(super) enum Gather<'a> {
    /// By head and distance; the first positions are left out.
    Mass { by_distance: &'a mut [f64], context: usize, sinks: usize },
    /// By query row from `first` on: the mean share that the oldest eighth of the window gets.
    Oldest { shares: &'a mut [f32], first: usize, heads: usize },
    /// By position: attention received from queries at `voters` on.
    Votes { received: &'a mut [f32], voters: usize },
}

/// The gatherers of a slot, one for each block of heads.
pub(super) enum Gathers<'a> {
    None,
    Mass { blocks: ChunksMut<'a, f64>, context: usize, sinks: usize },
    Oldest { blocks: ChunksExactMut<'a, f32>, first: usize, heads: usize },
    Votes { blocks: ChunksExactMut<'a, f32>, voters: usize },
}

impl<'a> Iterator for Gathers<'a> {
    type Item = Gather<'a>;

    fn next(&mut self) -> Option<Gather<'a>> {
        Some(match self {
            Self::None => return None,
            Self::Mass { blocks, context, sinks } => {
                let (context, sinks) = (*context, *sinks);
                Gather::Mass { by_distance: blocks.next()?, context, sinks }
            }
            Self::Oldest { blocks, first, heads } => {
                Gather::Oldest { shares: blocks.next()?, first: *first, heads: *heads }
            }
            Self::Votes { blocks, voters } => {
                Gather::Votes { received: blocks.next()?, voters: *voters }
            }
        })
    }
}

impl Watch {
    /// Watches as the options say, in pages of the cache, which a short context shortens.
    pub fn new(graph: &Graph, options: &SessionOptions, page_tokens: usize) -> Result<Self> {
        if options.observe_attention {
            let sinks = options.visibility.sinks;
            return Ok(Self::Mass { mass: mass::empty(graph, options.context)?, sinks });
        }
        if let Window::Adaptive { least, most } = options.visibility.window {
            return Ok(Self::Windows(AdaptiveWindows::new(graph, least..most, page_tokens)));
        }
        if let Some(eviction) = options.visibility.eviction {
            return Ok(Self::Votes(Votes::new(graph, eviction, options.context, page_tokens)));
        }
        Ok(Self::Nothing)
    }

    /// Makes room for what is remembered of the sequences of a step.
    pub fn begin(&mut self, spans: &[SpanRows]) {
        match self {
            Self::Windows(windows) => spans.iter().for_each(|span| windows.begin(span.sequence)),
            Self::Votes(votes) => spans.iter().for_each(|span| votes.begin(span)),
            Self::Nothing | Self::Mass { .. } => {}
        }
    }

    /// The end of the segment of positions that begins at `position`.
    pub fn segment_end(&self, position: usize, end: usize) -> usize {
        match self {
            Self::Windows(windows) => end.min(windows.page_end(position)),
            _ => end,
        }
    }

    /// Gatherers for the blocks of heads of a slot, `block` heads each.
    pub fn gather<'a>(
        &'a mut self,
        slot: CacheSlot,
        sequence: SequenceId,
        positions: Range<usize>,
        block: usize,
    ) -> Gathers<'a> {
        match self {
            Self::Nothing => Gathers::None,
            Self::Mass { mass, sinks } => mass::gather(mass, *sinks, slot, block),
            Self::Windows(windows) => windows.gather(slot, positions, block),
            Self::Votes(votes) => votes.gather(slot, sequence, block),
        }
    }

    /// How the window of a layer lies, where that follows attention.
    pub fn bound(&self, slot: CacheSlot, sequence: SequenceId) -> Option<Bound> {
        match self {
            Self::Windows(windows) => Some(windows.bound(slot, sequence)),
            _ => None,
        }
    }

    /// All heads of a slot have taken the queries at `positions`.
    pub fn segment_done(&mut self, slot: CacheSlot, sequence: SequenceId, positions: Range<usize>) {
        if let Self::Windows(windows) = self {
            windows.segment_done(slot, sequence, positions);
        }
    }

    /// The step is over and committed.
    pub fn step_done(&mut self, spans: &[SpanRows], cache: &mut PagedCache) {
        match self {
            Self::Windows(windows) => spans.iter().for_each(|span| windows.release(span, cache)),
            Self::Votes(votes) => spans.iter().for_each(|span| votes.evict(span, cache)),
            Self::Nothing | Self::Mass { .. } => {}
        }
    }

    pub fn forked(&mut self, from: SequenceId, to: SequenceId) {
        match self {
            Self::Windows(windows) => windows.fork(from, to),
            Self::Votes(votes) => votes.fork(from, to),
            Self::Nothing | Self::Mass { .. } => {}
        }
    }

    pub fn truncated(&mut self, sequence: SequenceId, len: usize) {
        match self {
            Self::Windows(windows) => windows.truncate(sequence, len),
            Self::Votes(votes) => votes.truncate(sequence, len),
            Self::Nothing | Self::Mass { .. } => {}
        }
    }

    pub fn removed(&mut self, sequence: SequenceId) {
        match self {
            Self::Windows(windows) => windows.remove(sequence),
            Self::Votes(votes) => votes.remove(sequence),
            Self::Nothing | Self::Mass { .. } => {}
        }
    }
}

impl Gather<'_> {
    /// Takes the attention of a query, head `head` of its block, on the positions of its window.
    pub fn add(&mut self, view: &View, head: usize, weights: &[f32]) {
        match self {
            Self::Mass { by_distance, context, sinks } => {
                let own = &mut by_distance[head * *context..][..*context];
                for (position, &weight) in (view.from..).zip(weights) {
                    if position >= *sinks {
                        own[view.position - position] += f64::from(weight);
                    }
                }
            }
            Self::Oldest { shares, first, heads } => {
                let eighth = weights.len().div_ceil(8);
                let share: f32 = weights[..eighth].iter().sum();
                shares[view.position - *first] += share / *heads as f32;
            }
            Self::Votes { received, voters } => {
                if view.position >= *voters {
                    let received = &mut received[view.from..view.to];
                    received.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
                }
            }
        }
    }
}
