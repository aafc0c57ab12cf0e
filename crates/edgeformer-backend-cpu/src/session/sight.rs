//! How far the queries of a session see, by the graph and by the session's options.

use edgeformer_core::graph::{CacheSlot, Mask};
use edgeformer_core::{Error, Op, Result, SessionOptions, Window};

use crate::program::{Action, CpuProgram};

/// How far queries see.
#[derive(Debug)]
pub(super) struct Sight {
    /// The first tokens, which every query sees.
    pub sinks: usize,
    /// Full pages that a query attends.
    pub attend_pages: Option<usize>,
    /// By slot and query head.
    windows: Vec<Vec<Option<usize>>>,
}

impl Sight {
    /// # Errors
    /// If the options contradict each other or do not fit the graph.
    pub fn new(program: &CpuProgram, options: &SessionOptions) -> Result<Self> {
        let visibility = &options.visibility;
        check_options(options)?;
        let mut windows = Vec::new();
        for node in &program.model.graph.nodes {
            let (heads, own) = match &node.op {
                Op::Attention(attention) if attention.slot.is_some() => {
                    (attention.heads, attention.window)
                }
                Op::LatentAttention(attention) => (attention.heads, None),
                _ => continue,
            };
            let asked = asked_windows(&visibility.window, windows.len(), heads)?;
            let narrower = |asked: Option<usize>| match (own, asked) {
                (Some(own), Some(asked)) => Some(own.min(asked)),
                (own, asked) => own.or(asked),
            };
            windows.push(asked.into_iter().map(narrower).collect());
        }
        check_slots(&visibility.window, windows.len())?;
        // Who observes wants the model as it is: sinks are only left out of what is told.
        let sinks = if options.observe_attention { 0 } else { visibility.sinks };
        if sinks > 0 {
            check_ropes(program)?;
        }
        Ok(Self { sinks, attend_pages: visibility.attend_pages, windows })
    }

    /// Positions that a query head sees, its own included; all where `None`.
    pub fn window(&self, slot: CacheSlot, head: usize) -> Option<usize> {
        self.windows[slot.0 as usize][head]
    }
}

/// What the options ask for the heads of a slot.
fn asked_windows(window: &Window, slot: usize, heads: usize) -> Result<Vec<Option<usize>>> {
    Ok(match window {
        Window::Model => vec![None; heads],
        Window::Tokens(tokens) => vec![Some(*tokens); heads],
        Window::Adaptive { most, .. } => vec![Some(*most); heads],
        Window::Heads(table) => {
            let own = table.slots.get(slot).filter(|own| own.len() == heads);
            let found = table.slots.get(slot).map_or(0, Vec::len);
            own.cloned().ok_or_else(|| {
                Error::Config(format!(
                    "window: layer {slot} has {heads} heads, the table lists {found}: it was made for another model"
                ))
            })?
        }
    })
}

fn check_slots(window: &Window, slots: usize) -> Result<()> {
    match window {
        Window::Heads(table) if table.slots.len() != slots => Err(Error::Config(format!(
            "window: the table lists {} layers, the model has {slots}: it was made for another model",
            table.slots.len()
        ))),
        _ => Ok(()),
    }
}

/// What the cache does not check: how ways to see the past go together.
fn check_options(options: &SessionOptions) -> Result<()> {
    let visibility = &options.visibility;
    let refuse = |problem: &str| Err(Error::Config(problem.into()));
    let adaptive = match visibility.window {
        Window::Adaptive { most, .. } if most > options.context => {
            return refuse("window: the most is longer than the context");
        }
        Window::Adaptive { .. } => true,
        _ => false,
    };
    if visibility.attend_pages.is_some() {
        if visibility.is_endless() {
            return refuse("attend_pages and sinks: an endless stream has no old pages to choose");
        }
        if adaptive || visibility.eviction.is_some() || options.observe_attention {
            return refuse(
                "attend_pages: adaptive windows, eviction and window tuning need all attention",
            );
        }
    }
    if options.observe_attention && (adaptive || visibility.eviction.is_some()) {
        return refuse("attention is observed without adaptive windows and without eviction");
    }
    Ok(())
}

/// Behind a gap queries are turned back, which takes rotary positions.
fn check_ropes(program: &CpuProgram) -> Result<()> {
    let lacks = program.code.instructions.iter().any(|instruction| match &instruction.action {
        Action::Attention { attention, rope } => {
            attention.mask == Mask::Causal && attention.slot.is_some() && rope.is_none()
        }
        Action::LatentAttention { rope, .. } => rope.is_none(),
        _ => false,
    });
    if !lacks {
        return Ok(());
    }
    let family = &program.model.graph.name;
    Err(Error::Config(format!(
        "sinks: a {family} model has no rotary positions, so none can be assigned inside the cache; leave --sinks out"
    )))
}
