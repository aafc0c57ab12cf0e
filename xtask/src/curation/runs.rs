//! Commands of EdgeFormer, one after the other; what was done before is not done again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::condition::Condition;
use super::task::{Setting, Task};
use crate::edgeformer::Edgeformer;
use crate::run::{Result, target};

/// What the pool and the random tenths follow from.
const SEED: u64 = 1;

/// What came of learning from a part of a pool.
pub struct Learned {
    pub condition: Condition,
    /// Of every seed: the loss of held-out answers, or the share of right ones.
    pub scores: Vec<f64>,
    /// Of every seed: the share of right answers where the likeliest token is always taken.
    pub greedy: Vec<f64>,
    /// Seconds of the steps, of every seed.
    pub seconds: Vec<f64>,
    /// Tokens that were learned from, of the first seed.
    pub tokens: usize,
    /// Seconds that choosing took; the slowest where every seed has its own choice.
    pub choosing: f64,
    /// Records that were learned.
    pub records: usize,
}

/// How good a model is.
struct Judged {
    score: f64,
    greedy: Option<f64>,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.score)?;
        self.greedy.map_or(Ok(()), |greedy| write!(f, " (greedy {greedy:.4})"))
    }
}

/// A folder of one task.
pub struct Workplace<'a> {
    task: Task,
    setting: Setting,
    folder: PathBuf,
    program: &'a Edgeformer,
}

impl<'a> Workplace<'a> {
    /// A folder with its pools and the model that everything starts from.
    pub fn open(task: Task, program: &'a Edgeformer, shared: &Path) -> Result<Self> {
        let folder = target().join("curation").join(task.name());
        let place = Self { task, setting: task.setting(), folder, program };
        place.make("start")?;
        place.once("pools.json", || {
            task.write(shared, &place.folder, SEED)?;
            Ok(Value::Null)
        })?;
        place.once("start.json", || {
            let config = format!("{:#}\n", task.model().config());
            fs::write(place.path("start/config.json"), config)
                .map_err(|error| error.to_string())?;
            let vocabulary = &task.model().vocabulary.to_string();
            place.edgeformer(&[
                "tokenizer",
                "train",
                "start.txt",
                "--vocab-size",
                vocabulary,
                "--split-digits",
                "--output",
                "start",
            ])?;
            let mut train = vec!["train", "--config", "start", "--data", "start.jsonl"];
            train.extend(["--output", "start", "--validation-split", "0.02"]);
            train.extend(place.setting.train);
            place.edgeformer(&train)
        })?;
        Ok(place)
    }

    /// What comes of everything that is learned, with so many seeds each.
    pub fn results(&self, conditions: &[Condition], seeds: u64) -> Result<Vec<Learned>> {
        let start = self.judged("start", "start/model")?;
        eprintln!("{}: {start} before anything is learned", self.task.name());
        conditions.iter().map(|&condition| self.learned(condition, seeds)).collect()
    }

    fn learned(&self, condition: Condition, seeds: u64) -> Result<Learned> {
        let mut learned = Learned {
            condition,
            scores: Vec::new(),
            greedy: Vec::new(),
            seconds: Vec::new(),
            tokens: 0,
            choosing: 0.0,
            records: 0,
        };
        for seed in 0..seeds {
            let (file, choosing) = self.chosen(condition, seed)?;
            let name = format!("{}-{seed}", condition.name());
            let done = self.finetuned(condition, &file, &name, seed)?;
            let judged = self.judged(&name, &format!("{name}/model"))?;
            let seconds = number(&done, "tokens")? / number(&done, "tokens_per_second")?;
            eprintln!("{}: {name}: {judged}, {seconds:.1} s", self.task.name());
            learned.scores.push(judged.score);
            learned.greedy.extend(judged.greedy);
            learned.seconds.push(seconds);
            learned.choosing = choosing.max(learned.choosing);
            learned.records = number(&done, "examples")? as usize;
            if seed == 0 {
                learned.tokens = number(&done, "tokens")? as usize;
            }
            self.forget(&name);
        }
        Ok(learned)
    }

    /// The file that is learned from, and the seconds that it took to choose it.
    fn chosen(&self, condition: Condition, seed: u64) -> Result<(String, f64)> {
        let keep = self.setting.clean * 5 / 2 / 10;
        let Some(options) = condition.options(&self.setting, keep) else {
            return Ok(("clean.jsonl".into(), 0.0));
        };
        let seed = if condition.draws() { seed } else { 0 };
        let file = format!("{}-{seed}.jsonl", condition.name());
        let curated = self.once(&format!("{}-{seed}.chosen.json", condition.name()), || {
            let seed = seed.to_string();
            let mut curate = vec!["curate", "pool.jsonl", "--output", &file, "--force"];
            curate.extend(["--seed", &seed]);
            curate.extend(options.iter().map(String::as_str));
            let start = Instant::now();
            let told = self.edgeformer(&curate)?;
            Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "told": told }))
        })?;
        Ok((file, number(&curated, "seconds")?))
    }

    fn finetuned(&self, condition: Condition, file: &str, name: &str, seed: u64) -> Result<Value> {
        let epochs = match condition {
            Condition::Clean => self.setting.clean_epochs,
            _ => self.setting.epochs,
        };
        self.once(&format!("{name}.json"), || {
            let (epochs, seed) = (epochs.to_string(), seed.to_string());
            let mut finetune = vec!["finetune", "--model", "start/model", "--method", "full"];
            finetune.extend(["--data", file, "--output", name, "--validation-split", "0"]);
            finetune.extend(["--epochs", &epochs, "--seed", &seed]);
            finetune.extend(self.setting.finetune);
            self.edgeformer(&finetune)
        })
    }

    /// How good a model is: the mean loss of held-out answers, or the share that it gets right.
    fn judged(&self, name: &str, model: &str) -> Result<Judged> {
        let found = self.once(&format!("{name}.judged.json"), || match self.task {
            Task::Gsm8k => {
                self.asked(name, model, &["--loss"])?;
                let loss = self.mean_loss(&format!("{name}.held-out.report.jsonl"))?;
                Ok(json!({ "score": loss }))
            }
            Task::Arithmetic => Ok(json!({
                "score": self.right(name, model, &[])?,
                "greedy": self.right(name, model, &["--temperature", "0.001"])?,
            })),
        })?;
        Ok(Judged { score: number(&found, "score")?, greedy: found["greedy"].as_f64() })
    }

    /// The share of sums whose answer is right, sampled once each.
    fn right(&self, name: &str, model: &str, sampling: &[&str]) -> Result<f64> {
        let mut options = vec!["--solved", "1..1", "--samples", "1", "--answer-tokens", "48"];
        options.extend(["--check", "regex:#### ([0-9]+)"]);
        options.extend(sampling);
        let told = self.asked(name, model, &options)?;
        Ok(number(&told, "kept")? / number(&told, "records")?)
    }

    /// What a model makes of the records that were held out.
    fn asked(&self, name: &str, model: &str, options: &[&str]) -> Result<Value> {
        let report = format!("{name}.held-out.jsonl");
        let mut curate = vec!["curate", "held-out.jsonl", "--output", &report, "--model", model];
        curate.extend(["--no-validity", "--no-duplicates", "--no-quality", "--force"]);
        curate.extend(options);
        self.edgeformer(&curate)
    }

    /// The mean over answers in a report of the mean loss of their tokens. Those that are too long for
    /// the model have none.
    fn mean_loss(&self, report: &str) -> Result<f64> {
        let path = self.path(report);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let loss = |line: &str| {
            let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            Ok(value["scores"]["loss"].as_f64())
        };
        let losses = text.lines().filter_map(|line| loss(line).transpose());
        let losses = losses.collect::<Result<Vec<f64>>>()?;
        match losses.is_empty() {
            true => Err(format!("{}: no answer has a loss", path.display())),
            false => Ok(losses.iter().sum::<f64>() / losses.len() as f64),
        }
    }

    /// Takes what is in a file, or what is found, which is kept there.
    fn once(&self, file: &str, find: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let path = self.path(file);
        if let Ok(text) = fs::read_to_string(&path) {
            return serde_json::from_str(&text)
                .map_err(|error| format!("{}: {error}", path.display()));
        }
        let found = find()?;
        fs::write(&path, found.to_string())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(found)
    }

    /// Drops a model that was judged: there are many.
    fn forget(&self, name: &str) {
        // It is in the target folder, where it bothers nobody.
        let _ = fs::remove_dir_all(self.path(name));
    }

    fn edgeformer(&self, arguments: &[&str]) -> Result<Value> {
        self.program.json(&self.folder, &[arguments, &["--quiet"]].concat())
    }

    fn make(&self, folder: &str) -> Result<()> {
        let path = self.path(folder);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value[name].as_f64().ok_or_else(|| format!("there is no {name} in {value}"))
}
