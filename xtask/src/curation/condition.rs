//! What is learned from a pool.

use super::task::Setting;

/// What of a pool is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A tenth by chance.
    Random,
    /// A tenth, chosen by every stage.
    Curated,
    /// The same, but for one stage.
    Without(Stage),
    /// All clean records: what the pool would be worth if it were not spoiled.
    Clean,
}

/// A stage of curation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Validity, near-duplicates, decontamination.
    Validity,
    /// What the model finds hard.
    Difficulty,
    /// How answers reason.
    Quality,
    /// How unlike each other records are.
    Diversity,
}

/// The best of which the most diverse are chosen, by what is kept.
const CANDIDATES: usize = 3;

impl Condition {
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::Curated,
        Self::Without(Stage::Validity),
        Self::Without(Stage::Difficulty),
        Self::Without(Stage::Quality),
        Self::Without(Stage::Diversity),
        Self::Clean,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Curated => "curated",
            Self::Without(Stage::Validity) => "without-validity",
            Self::Without(Stage::Difficulty) => "without-difficulty",
            Self::Without(Stage::Quality) => "without-quality",
            Self::Without(Stage::Diversity) => "without-diversity",
            Self::Clean => "clean",
        }
    }

    /// Whether what is chosen follows from a seed.
    pub fn draws(self) -> bool {
        self == Self::Random
    }

    /// The options of `curate` that choose so many records; nothing where all clean ones are learned.
    pub fn options(self, setting: &Setting, keep: usize) -> Option<Vec<String>> {
        let runs = |stage| self != Self::Without(stage);
        let mut options = vec!["--keep".to_owned(), keep.to_string()];
        let mut add = |more: &[&str]| options.extend(more.iter().map(|&one| one.to_owned()));
        match self {
            Self::Clean => return None,
            Self::Random => {
                add(&["--no-validity", "--no-duplicates", "--no-quality", "--select", "random"]);
                return Some(options);
            }
            Self::Curated | Self::Without(_) => {}
        }
        match runs(Stage::Validity) {
            true => add(&["--decontaminate", "held-out.jsonl"]),
            false => add(&["--no-validity", "--no-duplicates"]),
        }
        if runs(Stage::Difficulty) {
            add(setting.difficulty);
        }
        match runs(Stage::Quality) {
            true if runs(Stage::Diversity) => {
                add(&["--candidates", &(keep * CANDIDATES).to_string()]);
            }
            true => {}
            false => add(&["--no-quality"]),
        }
        if runs(Stage::Diversity) {
            add(&["--select", "facility-location"]);
            add(&["--max-similarity", setting.max_similarity]);
        }
        add(&["--model", "start/model"]);
        Some(options)
    }
}
