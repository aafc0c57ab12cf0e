//! The two tasks: what is learned, from which start, and how it is judged.

use std::fs;
use std::path::Path;

use edgeformer_core::random::Random;
use serde_json::{Value, json};

use super::arithmetic;
use super::pool::{Record, Spoiled, lines, passages, spoil};
use crate::run::Result;
use crate::small_llama::SmallLlama;

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Problems of GSM8K, judged by the loss of solutions that were held out.
    Gsm8k,
    /// Sums of two numbers of two digits, judged by right answers.
    Arithmetic,
}

/// Everything of one task that does not depend on what is chosen.
pub struct Setting {
    /// Clean records; two in five of the pool.
    pub clean: usize,
    /// The other three.
    pub spoiled: Spoiled,
    /// Records to judge with.
    pub held_out: usize,
    /// Characters of a passage that is off topic.
    pub passage: usize,
    /// How often a tenth of the pool is learned.
    pub epochs: f64,
    /// How often all clean records are.
    pub clean_epochs: f64,
    /// Options of `finetune` that all runs share.
    pub finetune: &'static [&'static str],
    /// Options of `curate` for the difficulty of a record.
    pub difficulty: &'static [&'static str],
    /// Cosine similarity above which a record is refused: sums are all alike.
    pub max_similarity: &'static str,
    /// Options of `train` for the start.
    pub train: &'static [&'static str],
}

/// Records of GSM8K's training split that the start is trained on; pools are of those behind.
const SEEN: usize = 2500;

/// Sums that the start of the arithmetic task is trained on, their answers written otherwise.
const TOLD: usize = 16_000;

/// What numbers are for.
const START: u64 = 21;

impl Task {
    pub const ALL: [Self; 2] = [Self::Gsm8k, Self::Arithmetic];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gsm8k => "gsm8k",
            Self::Arithmetic => "arithmetic",
        }
    }

    pub fn setting(self) -> Setting {
        match self {
            Self::Gsm8k => Setting {
                clean: 800,
                // A model this small hardly looks at the question: exchanged answers teach it as much.
                spoiled: Spoiled { duplicates: 200, exchanged: 200, off_topic: 800 },
                held_out: 150,
                passage: 800,
                epochs: 1.5,
                clean_epochs: 2.5,
                finetune: &["--batch-size", "8", "--learning-rate", "2e-4", "--truncate"],
                difficulty: &["--loss-band", "0..0.5"],
                max_similarity: "0.9",
                train: &[
                    "--epochs",
                    "3",
                    "--batch-size",
                    "8",
                    "--ctx-size",
                    "256",
                    "--learning-rate",
                    "1.5e-3",
                    "--warmup-ratio",
                    "0.05",
                    "--weight-decay",
                    "0.1",
                    "--adam-beta2",
                    "0.98",
                ],
            },
            Self::Arithmetic => Setting {
                clean: 2000,
                spoiled: Spoiled { duplicates: 500, exchanged: 2000, off_topic: 500 },
                held_out: 200,
                passage: 120,
                epochs: 8.0,
                clean_epochs: 11.0,
                finetune: &["--batch-size", "16", "--learning-rate", "1e-3", "--truncate"],
                difficulty: &["--ifd", "0.75"],
                max_similarity: "0.999",
                train: &[
                    "--epochs",
                    "3",
                    "--batch-size",
                    "16",
                    "--ctx-size",
                    "128",
                    "--learning-rate",
                    "2e-3",
                    "--warmup-ratio",
                    "0.05",
                    "--adam-beta2",
                    "0.98",
                ],
            },
        }
    }

    /// The model: 5.3 million weights for words, 0.9 for sums.
    pub fn model(self) -> SmallLlama {
        match self {
            Self::Gsm8k => SmallLlama {
                vocabulary: 2048,
                width: 256,
                inner: 640,
                layers: 7,
                heads: 4,
                kv_heads: 2,
                initializer_range: 0.02,
            },
            Self::Arithmetic => SmallLlama {
                vocabulary: 512,
                width: 128,
                inner: 384,
                layers: 4,
                heads: 4,
                kv_heads: 2,
                initializer_range: 0.02,
            },
        }
    }

    /// Writes what is learned and asked into a folder: `start.jsonl` and `start.txt` for the model
    /// at the start, `pool.jsonl`, `clean.jsonl`, `held-out.jsonl`.
    pub fn write(self, shared: &Path, folder: &Path, seed: u64) -> Result<()> {
        let setting = self.setting();
        let plays =
            passages(&read(&shared.join("data/tinyshakespeare/input.txt"))?, setting.passage);
        let (mut start, records, held_out): (Vec<String>, Vec<Record>, Vec<Record>) = match self {
            Self::Gsm8k => {
                let known = gsm8k(&shared.join("data/gsm8k/train.jsonl"))?;
                let (seen, records) = known.split_at(SEEN);
                let told = seen.iter().map(|one| format!("{}\n{}", one.question, one.answer));
                let start = plays.iter().cloned().chain(told).collect();
                (start, records.to_vec(), gsm8k(&shared.join("data/gsm8k/test.jsonl"))?)
            }
            Self::Arithmetic => {
                let told = arithmetic::told(TOLD, seed);
                let start = plays.iter().take(1000).cloned().chain(told).collect();
                let mut records = arithmetic::sums(setting.clean * 2 + setting.held_out, seed);
                let held_out = records.split_off(setting.clean * 2);
                (start, records, held_out)
            }
        };
        Random::of(seed, &[START]).shuffle(&mut start);
        let (clean, fresh) = records.split_at(setting.clean);
        let passages = long_enough(&plays, setting.spoiled.off_topic);
        let pool = spoil(clean, fresh, &passages, setting.spoiled, seed);
        let as_line = |text: &String| format!("{}\n", json!({ "text": text }));
        write(&folder.join("start.jsonl"), &start.iter().map(as_line).collect::<String>())?;
        write(&folder.join("start.txt"), &start.join("\n"))?;
        write(&folder.join("pool.jsonl"), &lines(&pool))?;
        write(&folder.join("clean.jsonl"), &lines(clean))?;
        write(&folder.join("held-out.jsonl"), &lines(&held_out[..setting.held_out]))
    }
}

/// Passages, again from the first where there are too few.
fn long_enough(passages: &[String], count: usize) -> Vec<String> {
    passages.iter().cycle().take(count).cloned().collect()
}

fn gsm8k(path: &Path) -> Result<Vec<Record>> {
    let record = |line: &str| {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let text = value[name].as_str().ok_or(format!("has no {name}"))?;
            Ok::<_, String>(text.to_owned())
        };
        Ok(Record { question: field("question")?, answer: field("answer")? })
    };
    let text = read(path)?;
    let numbered = text.lines().enumerate();
    let named = numbered.map(|(index, line)| {
        record(line)
            .map_err(|error: String| format!("{}: line {}: {error}", path.display(), index + 1))
    });
    named.collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
