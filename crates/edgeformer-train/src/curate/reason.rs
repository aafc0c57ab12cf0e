//! Why a record is not kept.

use serde::Serialize;

/// Why a record is not kept. Lines are those of the pool, from 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The line is no record.
    NoRecord {
        /// What is wrong with it.
        problem: String,
    },
    /// A part has no text.
    Empty {
        /// Which one.
        part: Part,
    },
    /// There is too little of it.
    TooShort {
        /// What was counted.
        unit: &'static str,
        /// How many there are.
        length: usize,
        /// How many there must be.
        least: usize,
    },
    /// There is too much of it.
    TooLong {
        /// What was counted.
        unit: &'static str,
        /// How many there are.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// A character that no text has.
    ControlCharacter {
        /// Its code point.
        character: String,
    },
    /// The answer is the question.
    AnswerIsQuestion,
    /// The answer repeats itself.
    Repetition {
        /// The share of runs of words that came before.
        share: f64,
    },
    /// An earlier record says nearly the same.
    NearDuplicate {
        /// The first such record's line.
        of: u64,
        /// Jaccard similarity with it.
        jaccard: f64,
    },
    /// It shares words with an evaluation file.
    Contaminated {
        /// The file's name.
        file: String,
        /// The words.
        words: String,
    },
    /// The model's chat template refuses it, or there is none.
    Template {
        /// What was said.
        problem: String,
    },
    /// The question does not help the model with the answer.
    QuestionDoesNotHelp {
        /// Perplexity of the answer with the question by that without.
        ifd: f64,
        /// It must be below this.
        below: f64,
    },
    /// There is nothing in the answer that samples could be checked against.
    Unchecked,
    /// Too few samples were right: too hard, or the answer is wrong.
    TooHard {
        /// Samples that were right.
        solved: usize,
        /// Of so many.
        of: usize,
    },
    /// Too many samples were right: nothing to learn.
    TooEasy {
        /// Samples that were right.
        solved: usize,
        /// Of so many.
        of: usize,
    },
    /// The loss is outside the band.
    OutsideBand {
        /// Mean loss of an answer's token, in nats.
        loss: f64,
        /// The share of records with less, from 0 to 1.
        quantile: f64,
    },
    /// The reasoning is not written well enough.
    LowQuality {
        /// Its score.
        quality: f64,
        /// What it must be.
        least: f64,
    },
    /// A record that is kept says something too similar.
    TooSimilar {
        /// That record's line.
        to: u64,
        /// Cosine similarity with it.
        cosine: f64,
    },
    /// Its class or source has as many as it may have.
    Quota {
        /// The class or source.
        group: String,
    },
    /// Others were better, or farther from what is kept.
    NotChosen,
}

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What is given.
    Question,
    /// What is learned.
    Answer,
}

impl Reason {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoRecord { .. } => "no_record",
            Self::Empty { .. } => "empty",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::ControlCharacter { .. } => "control_character",
            Self::AnswerIsQuestion => "answer_is_question",
            Self::Repetition { .. } => "repetition",
            Self::NearDuplicate { .. } => "near_duplicate",
            Self::Contaminated { .. } => "contaminated",
            Self::Template { .. } => "template",
            Self::QuestionDoesNotHelp { .. } => "question_does_not_help",
            Self::Unchecked => "unchecked",
            Self::TooHard { .. } => "too_hard",
            Self::TooEasy { .. } => "too_easy",
            Self::OutsideBand { .. } => "outside_band",
            Self::LowQuality { .. } => "low_quality",
            Self::TooSimilar { .. } => "too_similar",
            Self::Quota { .. } => "quota",
            Self::NotChosen => "not_chosen",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRecord { problem } | Self::Template { problem } => f.write_str(problem),
            Self::Empty { part: Part::Question } => f.write_str("the question is empty"),
            Self::Empty { part: Part::Answer } => f.write_str("the answer is empty"),
            Self::TooShort { unit, length, least } => {
                write!(f, "{length} {unit}, at least {least} are wanted")
            }
            Self::TooLong { unit, length, most } => {
                write!(f, "{length} {unit}, at most {most} are wanted")
            }
            Self::ControlCharacter { character } => write!(f, "has the character {character}"),
            Self::AnswerIsQuestion => f.write_str("the answer repeats the question"),
            Self::Repetition { share } => {
                write!(f, "{:.0} % of the answer's runs of words came before", share * 100.0)
            }
            Self::NearDuplicate { of, jaccard } => {
                write!(f, "nearly the same as line {of} (Jaccard {jaccard:.3})")
            }
            Self::Contaminated { file, words } => write!(f, "{file} has {words:?} too"),
            Self::QuestionDoesNotHelp { ifd, below } => {
                write!(f, "the question does not help: IFD {ifd:.3}, below {below} is wanted")
            }
            Self::Unchecked => f.write_str("the answer has nothing to check samples against"),
            Self::TooHard { solved, of } => write!(f, "too hard: {solved} of {of} samples right"),
            Self::TooEasy { solved, of } => write!(f, "too easy: {solved} of {of} samples right"),
            Self::OutsideBand { loss, quantile } => {
                write!(f, "loss {loss:.3} is at {:.1} % of the pool", quantile * 100.0)
            }
            Self::LowQuality { quality, least } => {
                write!(f, "quality {quality:.3}, at least {least} is wanted")
            }
            Self::TooSimilar { to, cosine } => {
                write!(f, "too similar to line {to} (cosine {cosine:.3})")
            }
            Self::Quota { group } => write!(f, "{group:?} has as many as it may have"),
            Self::NotChosen => f.write_str("others were chosen"),
        }
    }
}
