use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use edgeformer::Pooling;
use edgeformer_train::curate::{Band, Check, Compared, Method, Quota, Rank, Weights};

use super::ModelArgs;
use super::values::{count, pooling, share};

#[derive(Debug, Args)]
pub struct Curate {
    /// JSON Lines: text; prompt, completion; messages; instruction, input, output; question, answer
    #[arg(value_name = "POOL")]
    pub pool: PathBuf,
    /// The file of kept records, verbatim; beside it go FILE.report.jsonl and FILE.report.html
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Records to keep at most [default: all that no stage drops]
    #[arg(short, long, value_name = "N", value_parser = count)]
    pub keep: Option<usize>,
    /// Fail at the first line that is no record, instead of leaving it out
    #[arg(long)]
    pub strict: bool,
    /// Where random numbers start
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// What each stage dropped as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub validity: ValidityArgs,
    #[command(flatten)]
    pub difficulty: DifficultyArgs,
    #[command(flatten)]
    pub quality: QualityArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Valid and new")]
pub struct ValidityArgs {
    /// Do not look for empty, overlong, repetitive, damaged records
    #[arg(long)]
    pub no_validity: bool,
    /// Characters of a record at least [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "no_validity")]
    pub min_chars: Option<usize>,
    /// Characters at most [default: 100000]
    #[arg(long, value_name = "N", conflicts_with = "no_validity")]
    pub max_chars: Option<usize>,
    /// Tokens of the model at least
    #[arg(long, value_name = "N", conflicts_with = "no_validity")]
    pub min_tokens: Option<usize>,
    /// Tokens of the model at most
    #[arg(long, value_name = "N", conflicts_with = "no_validity")]
    pub max_tokens: Option<usize>,
    /// Share of an answer's runs of five words that may repeat [default: 0.3]
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "no_validity")]
    pub max_repetition: Option<f64>,
    /// Do not look for near-duplicates
    #[arg(long)]
    pub no_duplicates: bool,
    /// Jaccard similarity of near-duplicates [default: 0.8]
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "no_duplicates")]
    pub jaccard: Option<f64>,
    /// Words of a shingle [default: 5, or 3 where half of the records have fewer than 50 words]
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "no_duplicates")]
    pub shingle: Option<usize>,
    /// What of a record is compared [default: record]
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "no_duplicates")]
    pub duplicates_by: Option<ComparedArg>,
    /// Drop what shares a run of 13 words with this evaluation file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub decontaminate: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Hard enough for the model")]
pub struct DifficultyArgs {
    /// Measure the loss of every answer, for the report
    #[arg(long)]
    pub loss: bool,
    /// Keep records whose loss is in this part of the pool, such as 0.2..0.8
    #[arg(long, value_name = "LOW..HIGH", value_parser = band)]
    pub loss_band: Option<Band>,
    /// Drop records whose question does not help: instruction-following difficulty from here on
    /// [without a number: 1]
    #[arg(long, value_name = "BELOW", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = positive)]
    pub ifd: Option<f64>,
    /// Sample answers, and keep records of which so many are right, such as 1..3
    #[arg(long, value_name = "LEAST..MOST", value_parser = range)]
    pub solved: Option<(usize, usize)>,
    /// Answers that are sampled of a record
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = count)]
    pub samples: usize,
    /// When a sampled answer is right: numeric, exact or regex:PATTERN
    #[arg(long, value_name = "HOW", default_value = "numeric", value_parser = parsed::<Check>)]
    pub check: Check,
    /// Divides the logits of sampled answers [default: 0.8]
    #[arg(long, visible_alias = "temp", value_name = "T", value_parser = positive)]
    pub temperature: Option<f64>,
    /// Tokens of a sampled answer at most
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count)]
    pub answer_tokens: usize,
    /// End a sampled answer at this text; may be repeated [default: a line that begins `Question:`]
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Well reasoned")]
pub struct QualityArgs {
    /// Do not score how answers reason
    #[arg(long)]
    pub no_quality: bool,
    /// What length, verification, exploration and connectives are worth
    /// [default: 0.3,0.2,0.25,0.25]
    #[arg(long, value_name = "L,V,E,C", value_parser = weights, conflicts_with = "no_quality")]
    pub quality_weights: Option<Weights>,
    /// Drop records that score less
    #[arg(long, value_name = "SCORE", value_parser = share, conflicts_with = "no_quality")]
    pub min_quality: Option<f64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Unlike each other")]
pub struct SelectionArgs {
    /// How records are chosen of those that are left
    #[arg(long, value_enum, value_name = "HOW", default_value = "best")]
    pub select: MethodArg,
    /// What is better
    #[arg(long, value_enum, value_name = "SCORE", default_value = "quality")]
    pub rank: RankArg,
    /// Choose among so many of the best [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    pub candidates: Option<usize>,
    /// Cosine similarity to a kept record above which others are refused [default: 0.9 with
    /// k-center and facility-location, else none]
    #[arg(long, value_name = "COSINE", value_parser = share)]
    pub max_similarity: Option<f64>,
    /// class or source: as many of each; source=0.5: at most half of one
    #[arg(long, value_name = "QUOTA", value_parser = parsed::<Quota>)]
    pub quota: Option<Quota>,
    /// The model that says what records are about: an encoder, or one that continues text
    /// [default: --model]
    #[arg(long, value_name = "PATH")]
    pub embedding_model: Option<PathBuf>,
    /// How an encoder's states become one vector [default: as the model says, else mean]
    #[arg(long, value_parser = pooling, value_name = "mean|cls")]
    pub pooling: Option<Pooling>,
}

/// What of a record is compared.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ComparedArg {
    /// Question and answer
    Record,
    /// The question alone
    Question,
}

/// How records are chosen.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MethodArg {
    /// The best
    Best,
    /// By chance, to compare with
    Random,
    /// Always the one farthest from those chosen
    KCenter,
    /// Always the one that brings the chosen nearest to all
    FacilityLocation,
}

/// What is better.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RankArg {
    /// Higher quality of reasoning
    Quality,
    /// Higher loss
    Loss,
    /// Higher instruction-following difficulty
    Ifd,
}

impl From<ComparedArg> for Compared {
    fn from(compared: ComparedArg) -> Self {
        match compared {
            ComparedArg::Record => Self::Record,
            ComparedArg::Question => Self::Question,
        }
    }
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Best => Self::Best,
            MethodArg::Random => Self::Random,
            MethodArg::KCenter => Self::KCenter,
            MethodArg::FacilityLocation => Self::FacilityLocation,
        }
    }
}

impl From<RankArg> for Rank {
    fn from(rank: RankArg) -> Self {
        match rank {
            RankArg::Quality => Self::Quality,
            RankArg::Loss => Self::Loss,
            RankArg::Ifd => Self::Ifd,
        }
    }
}

fn parsed<T: FromStr<Err = edgeformer_train::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: edgeformer_train::Error| error.to_string())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("{text:?} is no number above 0"))
}

/// `1..3`, both ends included; one number is both.
fn range(text: &str) -> Result<(usize, usize), String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
        _ => Err(format!("{text:?} is no range of counts: write 1..3")),
    }
}

fn band(text: &str) -> Result<Band, String> {
    let wrong = || format!("{text:?} is no part of a pool: write 0.2..0.8");
    let (low, high) = text.split_once("..").ok_or_else(wrong)?;
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if 0.0 <= low && low < high && high <= 1.0 => Ok(Band { low, high }),
        _ => Err(wrong()),
    }
}

fn weights(text: &str) -> Result<Weights, String> {
    let wrong = || format!("{text:?} are no weights: write four numbers, as 0.3,0.2,0.25,0.25");
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.ok().and_then(|numbers| <[f64; 4]>::try_from(numbers).ok());
    Weights::new(numbers.ok_or_else(wrong)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_two_ends() {
        assert_eq!(range("1..3"), Ok((1, 3)));
        assert_eq!(range("2"), Ok((2, 2)));
        for wrong in ["3..1", "..3", "a..b", "1.5..2", ""] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
        assert_eq!(band("0.2..0.8"), Ok(Band { low: 0.2, high: 0.8 }));
        for wrong in ["0.8..0.2", "0..2", "-1..1", "NaN..1", "0.5"] {
            assert!(band(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn weights_are_four() {
        assert_eq!(weights("0.3, 0.2, 0.25, 0.25"), Ok(Weights::default()));
        assert!(weights("1,2,3").unwrap_err().contains("four numbers"));
        assert!(weights("0,0,0,0").is_err());
    }
}
