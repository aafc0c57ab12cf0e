//! candle's quantized models, through the crate `candle-transformers`, on the CPU.
//!
//! Threads are rayon's: the process that measures is started with `RAYON_NUM_THREADS`. Keys and
//! values are cached in f32; a prompt is read in one step.

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};
use edgeformer_core::CacheFormat;

use super::{Body, Engine, Runner, Setup};
use crate::{Error, Result};

pub(super) const ENGINE: Engine = Engine { name: "candle", build: None, quantizer: None, run };

fn run(setup: &Setup, body: Body<'_>) -> Result<()> {
    let of_choice = |format| matches!(format, CacheFormat::F16 | CacheFormat::F32);
    if !of_choice(setup.cache_type_k) || !of_choice(setup.cache_type_v) {
        return Err(Error::Request("candle caches keys and values in f32 alone".into()));
    }
    let (weights, vocabulary) = load(&setup.model.path)?;
    body(&mut Loaded { weights, vocabulary, position: 0 })
}

/// The families that candle has quantized models for and this benchmark makes.
enum Weights {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
}

fn load(path: &Path) -> Result<(Weights, usize)> {
    let wrong = |error: candle_core::Error| Error::file(path, format!("candle: {error}"));
    let mut file = File::open(path).map_err(|error| Error::file(path, error))?;
    let content = Content::read(&mut file).map_err(wrong)?;
    let family =
        content.metadata.get("general.architecture").and_then(|name| name.to_string().ok());
    let family = family.cloned().unwrap_or_default();
    let table = content.tensor_infos.get("token_embd.weight");
    let vocabulary = table.and_then(|table| table.shape.dims().first().copied()).unwrap_or(1);
    let device = Device::Cpu;
    let weights = match family.as_str() {
        "llama" => quantized_llama::ModelWeights::from_gguf(content, &mut file, &device)
            .map(Weights::Llama),
        "qwen2" => quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &device)
            .map(Weights::Qwen2),
        other => {
            let problem = format!("candle: the family {other:?} is not run, llama and qwen2 are");
            return Err(Error::file(path, problem));
        }
    };
    Ok((weights.map_err(wrong)?, vocabulary))
}

struct Loaded {
    weights: Weights,
    vocabulary: usize,
    position: usize,
}

impl Loaded {
    fn step(&mut self, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let scores = match &mut self.weights {
            Weights::Llama(weights) => weights.forward(&input, self.position)?,
            Weights::Qwen2(weights) => weights.forward(&input, self.position)?,
        };
        scores.flatten_all()?.to_vec1()
    }
}

impl Runner for Loaded {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn clear(&mut self) -> Result<()> {
        // A step at position 0 forgets what was cached.
        self.position = 0;
        Ok(())
    }

    fn read(&mut self, tokens: &[u32]) -> Result<()> {
        let scores = self.step(tokens);
        scores.map_err(|error| Error::Process(format!("candle: {error}")))?;
        self.position += tokens.len();
        Ok(())
    }
}
