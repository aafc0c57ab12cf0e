//! What queries see of the past, and where the past is kept: choices of a session, not of a model.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CacheFormat, Error, Result};

/// What a query sees of the past, where that is less than the model allows. The default changes
/// nothing; everything else is a trade of quality against memory or time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Visibility {
    /// Windows, where they are narrower than the model's own.
    pub window: Window,
    /// The first tokens of a sequence that every query sees besides its window. Behind a gap
    /// their positions are those inside the cache, so that a stream may be endless (Xiao et al.,
    /// "Efficient Streaming Language Models with Attention Sinks", arXiv 2309.17453, section 3.2).
    pub sinks: usize,
    /// Of the full pages a query attends only so many: those whose keys could score highest by
    /// their bounds (Quest, arXiv 2406.10774, section 3.3). Exact when it covers all pages.
    pub attend_pages: Option<usize>,
    /// Drops entries that attention passes over. Lossy.
    pub eviction: Option<Eviction>,
}

impl Visibility {
    /// Whether sequences may grow past the session's context: every layer has a window, and
    /// sinks with positions inside the cache keep what the model sees within what it knows.
    pub fn is_endless(&self) -> bool {
        let bounded = matches!(self.window, Window::Tokens(_) | Window::Adaptive { .. });
        self.sinks > 0 && bounded
    }
}

/// How far back queries see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// As the model says.
    #[default]
    Model,
    /// So many tokens, the query's own included, in every layer.
    Tokens(usize),
    /// By layer and head.
    Heads(Arc<HeadWindows>),
    /// Each layer's window follows its attention between two bounds: it grows while the mass on
    /// its oldest eighth is large and shrinks while that is small.
    Adaptive {
        /// Tokens that it holds at least.
        least: usize,
        /// Tokens that it holds at most.
        most: usize,
    },
}

/// Windows of the heads of every caching attention op.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeadWindows {
    /// By cache slot, then by query head; `None` sees everything the model allows.
    pub slots: Vec<Vec<Option<usize>>>,
}

/// Which entries are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// How they are chosen.
    pub policy: EvictionPolicy,
    /// Entries of a head that stay.
    pub keep: usize,
}

/// How the entries that stay are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvictionPolicy {
    /// Half of them the newest, half those that received most attention so far (Zhang et al.,
    /// "H2O: Heavy-Hitter Oracle", arXiv 2306.14048, section 4).
    H2o,
    /// Once, when the prompt ends: those that its last queries attend most (SnapKV, arXiv
    /// 2404.14469, section 4).
    SnapKv,
}

impl EvictionPolicy {
    /// The name that `--evict` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::H2o => "h2o",
            Self::SnapKv => "snapkv",
        }
    }
}

impl FromStr for EvictionPolicy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = [Self::H2o, Self::SnapKv];
        known.into_iter().find(|policy| policy.name() == name).ok_or_else(|| {
            Error::Config(format!("unknown eviction {name:?}, known are h2o, snapkv"))
        })
    }
}

/// Where pages go when they do not fit into memory. At most one of `cold` and `spill`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tiers {
    /// Bytes of pages that may be in memory, the buffers that spilled pages are read into
    /// included; `None` is no bound.
    pub budget: Option<u64>,
    /// Pages far from the end of their sequence are kept in this format. What a query sees of a
    /// page depends on the distance alone.
    pub cold: Option<CacheFormat>,
    /// A folder for a file that pages are moved to, with all their bits.
    pub spill: Option<PathBuf>,
}

/// How multi-head latent attention is computed (DeepSeek-V2, arXiv 2405.04434, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentForm {
    /// By cost, span by span: the two forms round differently.
    #[default]
    Auto,
    /// Queries go to the latents' space.
    Absorbed,
    /// Latents become keys and values, tile by tile.
    Expanded,
}

impl LatentForm {
    /// The name that `--mla` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Absorbed => "absorbed",
            Self::Expanded => "expanded",
        }
    }
}

impl FromStr for LatentForm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = [Self::Auto, Self::Absorbed, Self::Expanded];
        known.into_iter().find(|form| form.name() == name).ok_or_else(|| {
            Error::Config(format!("unknown form {name:?}, known are auto, absorbed, expanded"))
        })
    }
}

/// Where attention went: of every query head, the mass by distance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttentionMass {
    /// By cache slot.
    pub slots: Vec<SlotMass>,
}

/// The attention of one op's heads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotMass {
    /// Query heads.
    pub heads: usize,
    /// `[heads, context]`: attention on keys so many tokens before the query, summed over the
    /// queries; the sinks are left out.
    pub by_distance: Vec<f64>,
}

impl SlotMass {
    /// The mass of a head by distance.
    ///
    /// # Panics
    /// If there is no such head.
    pub fn head(&self, head: usize) -> &[f64] {
        let context = self.by_distance.len() / self.heads.max(1);
        &self.by_distance[head * context..][..context]
    }
}
