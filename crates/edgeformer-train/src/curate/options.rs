//! What is asked of a curation.

use super::difficulty::Solved;
use super::duplicates::Duplicates;
use super::quality::Weights;
use super::quota::Quota;
use super::validity::Validity;

/// What is asked of a curation. What is `None` is not done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where random numbers start: of permutations, of samples, of an order that nothing decides.
    pub seed: u64,
    /// Records that are no good by their text alone.
    pub validity: Option<Validity>,
    /// Records that are nearly the same as earlier ones.
    pub duplicates: Option<Duplicates>,
    /// Files whose texts must not be learned; none is no such stage.
    pub decontaminate: Vec<std::path::PathBuf>,
    /// Whether the loss of every answer is measured.
    pub loss: bool,
    /// Which losses are kept; measures them.
    pub loss_band: Option<Band>,
    /// Instruction-following difficulty that records must stay below; measures losses too.
    pub ifd_below: Option<f64>,
    /// How often sampled answers must be right.
    pub solved: Option<Solved>,
    /// How the parts of the quality of reasoning are weighed.
    pub quality: Option<Weights>,
    /// Quality that is wanted at least, from 0 to 1.
    pub min_quality: Option<f64>,
    /// What is kept of the rest.
    pub selection: Selection,
}

impl Options {
    /// Whether losses are measured.
    pub fn measures_loss(&self) -> bool {
        let ranks = matches!(self.selection.rank, Rank::Loss | Rank::Ifd);
        self.loss || self.loss_band.is_some() || self.ifd_below.is_some() || ranks
    }

    /// Whether a model must judge.
    pub fn needs_judge(&self) -> bool {
        let counts =
            |validity: &Validity| validity.min_tokens.is_some() || validity.max_tokens.is_some();
        self.measures_loss() || self.solved.is_some() || self.validity.as_ref().is_some_and(counts)
    }

    /// Whether a model must embed.
    pub fn needs_embedder(&self) -> bool {
        let compares = matches!(self.selection.method, Method::KCenter | Method::FacilityLocation);
        compares || self.selection.max_similarity.is_some()
    }
}

/// A part of a pool by rank, both ends from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

/// What is kept of the records that all stages left.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Records to keep at most; `None` is all.
    pub keep: Option<usize>,
    /// How they are chosen.
    pub method: Method,
    /// What is better.
    pub rank: Rank,
    /// So many of the best are chosen from; `None` is all.
    pub candidates: Option<usize>,
    /// Cosine similarity to a kept record above which others are refused.
    pub max_similarity: Option<f32>,
    /// How many of a class or source may be kept.
    pub quota: Option<Quota>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            keep: None,
            method: Method::Best,
            rank: Rank::Quality,
            candidates: None,
            max_similarity: None,
            quota: None,
        }
    }
}

/// How records are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// The best.
    #[default]
    Best,
    /// By chance: what others are compared with.
    Random,
    /// The farthest from what is chosen already.
    KCenter,
    /// What is most similar to all.
    FacilityLocation,
}

/// What is better; the earlier of equals is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rank {
    /// Higher quality of reasoning, where it is measured.
    #[default]
    Quality,
    /// Higher loss.
    Loss,
    /// Higher instruction-following difficulty.
    Ifd,
}
