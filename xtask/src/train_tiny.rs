//! The embedded model, trained from its text alone with what users have: `edgeformer tokenizer train`,
//! `train` and `quantize`. `assets/tiny` says what it is.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::edgeformer::{Edgeformer, Means};
use crate::run::{Result, root, target};
use crate::small_llama::SmallLlama;

/// Train the embedded model anew, and keep it in assets/tiny if it foretells held-out text better than
/// the one that is there.
#[derive(Debug, Args)]
pub struct TrainTiny {
    /// Steps of training
    #[arg(long, value_name = "N", default_value_t = STEPS)]
    steps: u64,
    #[command(flatten)]
    means: Means,
}

/// Bytes that the file may have: it is part of the program.
const MOST_BYTES: u64 = 1_572_864;

const MODEL: SmallLlama = SmallLlama {
    vocabulary: 896,
    width: 192,
    inner: 512,
    layers: 6,
    heads: 6,
    kv_heads: 2,
    initializer_range: 0.04,
};

const STEPS: u64 = 3600;

/// Options of `train`. Windows overlap by half, so that tokens are seen behind different beginnings;
/// matrices are rounded to their storage in every step; what is kept is the mean of the weights.
const TRAIN: [&str; 24] = [
    "--ctx-size",
    "512",
    "--stride",
    "256",
    "--batch-size",
    "4",
    "--learning-rate",
    "1.5e-3",
    "--warmup-ratio",
    "0.05",
    "--weight-decay",
    "0.1",
    "--adam-beta2",
    "0.98",
    "--dropout",
    "0.12",
    "--quantize-aware",
    "q4_0",
    "--ema",
    "0.998",
    "--eval-steps",
    "200",
    "--seed",
    "1623",
];

impl TrainTiny {
    pub fn run(&self) -> Result<()> {
        let program = self.means.edgeformer()?;
        let folder = target().join("tiny");
        let work = Work { program, folder };
        work.write_texts(&self.means.shared().join("data/tinyshakespeare/input.txt"))?;
        work.train(self.steps)?;
        let made = work.store()?;
        let before = root().join("assets/tiny/tiny-shakespeare.gguf");
        let [new, old] = [work.loss(&made)?, work.loss(&before)?];
        println!("held-out text: {new:.4} bits a byte, {old:.4} by the model before");
        if new >= old {
            return Err(format!(
                "the new model is no better: {} was not replaced",
                before.display()
            ));
        }
        work.keep(&made)
    }
}

/// Where everything lies while the model is made. A run that was interrupted goes on.
struct Work {
    program: Edgeformer,
    folder: PathBuf,
}

impl Work {
    /// The first nine tenths of the text to learn, the rest to be judged by, cut between speeches.
    fn write_texts(&self, from: &Path) -> Result<()> {
        make(&self.folder)?;
        let text = fs::read_to_string(from).map_err(|error| named(from, &error))?;
        let tenth = (0..=text.len() * 9 / 10).rev().find(|&at| text.is_char_boundary(at));
        let behind = tenth.unwrap_or(0);
        let cut = text[behind..].find("\n\n").map_or(behind, |gap| behind + gap + 2);
        write(&self.path("train.txt"), &text[..cut])?;
        write(&self.path("held-out.txt"), &text[cut..])
    }

    fn train(&self, steps: u64) -> Result<()> {
        make(&self.path("start"))?;
        write(&self.path("start/config.json"), &format!("{:#}\n", MODEL.config()))?;
        if !self.path("start/tokenizer.json").exists() {
            let vocabulary = MODEL.vocabulary.to_string();
            let tokenizer = ["tokenizer", "train", "train.txt", "--vocab-size", &vocabulary];
            self.ask(&tokenizer, &["--output", "start"])?;
        }
        let steps = steps.to_string();
        let mut train = vec!["train", "--config", "start", "--data", "train.txt"];
        train.extend(["--validation", "held-out.txt", "--output", "run", "--max-steps", &steps]);
        let done = self.ask(&train, &TRAIN)?;
        eprintln!("{done:#}");
        Ok(())
    }

    /// The GGUF file of what was learned.
    fn store(&self) -> Result<PathBuf> {
        let made = self.path("tiny-shakespeare.gguf");
        let quantize = ["quantize", "run/model", "tiny-shakespeare.gguf", "--format", "q4_0"];
        self.ask(&quantize, &["--method", "rtn", "--force"])?;
        let bytes = fs::metadata(&made).map_err(|error| named(&made, &error))?.len();
        if bytes > MOST_BYTES {
            return Err(format!("{}: {bytes} bytes, at most {MOST_BYTES}", made.display()));
        }
        Ok(made)
    }

    /// The bits that a byte of the held-out text takes: each model may have a vocabulary of its own.
    fn loss(&self, model: &Path) -> Result<f64> {
        let model = model.to_str().ok_or("the path is no text")?;
        let eval = ["eval", "perplexity", "--text", "held-out.txt", "--ctx-size", "512"];
        let told = self.ask(&eval, &["--model", model])?;
        told["bits_per_byte"]
            .as_f64()
            .ok_or_else(|| format!("there are no bits_per_byte in {told}"))
    }

    /// The file, its settings and its curve.
    fn keep(&self, made: &Path) -> Result<()> {
        let assets = root().join("assets/tiny");
        for (from, to) in [
            (made.to_owned(), "tiny-shakespeare.gguf"),
            (self.path("run/TRAINING.md"), "TRAINING.md"),
            (self.path("run/metrics.jsonl"), "metrics.jsonl"),
            (self.path("run/loss.png"), "loss.png"),
        ] {
            fs::copy(&from, assets.join(to)).map_err(|error| named(&from, &error))?;
        }
        Ok(())
    }

    fn ask(&self, one: &[&str], more: &[&str]) -> Result<Value> {
        self.program.json(&self.folder, &[one, more].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| named(folder, &error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
