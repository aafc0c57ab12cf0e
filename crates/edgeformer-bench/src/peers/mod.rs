//! Engines that are measured: EdgeFormer, and those it is compared with in the same run.
//!
//! An engine loads a model and hands a [`Runner`] to whoever measures. Each run has a process of
//! its own, so that memory and time to load are the engine's.

#[cfg(feature = "peer-candle")]
mod candle;
mod edgeformer;
#[cfg(feature = "peer-llama-cpp")]
pub mod llama_cpp;
#[cfg(feature = "backend-onnx")]
mod onnxruntime;

use std::path::Path;

use ::edgeformer::evaluate::Windows;
use edgeformer_core::CacheFormat;
use edgeformer_quantize::calibration::Imatrix;
use serde::{Deserialize, Serialize};

use crate::subject::ModelChoice;
use crate::{Error, Result};

/// The name of the engine that all others are peers of.
pub const OURS: &str = "edgeformer";

/// Engines that can be built in as peers, each with the cargo feature that does it.
pub const PEERS: [(&str, &str); 5] = [
    ("llama.cpp", "peer-llama-cpp"),
    ("candle", "peer-candle"),
    ("edgeformer/onnx", "backend-onnx"),
    ("edgeformer/candle", "backend-candle"),
    ("onnxruntime", "backend-onnx"),
];

/// Tokens of a peer's step while a prompt is read: what llama-bench calls `n_ubatch`, and its
/// default. EdgeFormer takes [its own](edgeformer::usual_chunk).
#[cfg(feature = "peer-llama-cpp")]
const CHUNK: usize = 512;

/// A model that is loaded, with room for one sequence.
pub trait Runner {
    /// Tokens that the vocabulary has.
    fn vocabulary(&self) -> usize;

    /// Forgets what was read.
    ///
    /// # Errors
    /// If the engine refuses.
    fn clear(&mut self) -> Result<()>;

    /// Reads tokens behind those that were read, and computes the scores behind the last.
    ///
    /// # Errors
    /// If the engine refuses.
    fn read(&mut self, tokens: &[u32]) -> Result<()>;
}

/// What an engine is to load, and how it is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The model and the threads.
    pub model: ModelChoice,
    /// Tokens that the sequence has room for.
    pub context: usize,
    /// Format of cached keys.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
}

impl Setup {
    /// Threads that compute: those that were chosen, or all cores.
    pub fn threads(&self) -> usize {
        self.model.threads.unwrap_or_else(::edgeformer::available_cores)
    }
}

/// What is done with a loaded model.
pub type Body<'a> = &'a mut dyn FnMut(&mut dyn Runner) -> Result<()>;

/// What takes a row of logits and the token that came next.
pub type Score<'a> = &'a mut dyn FnMut(&[f32], u32) -> Result<()>;

/// An engine that makes quantized files itself, to lay beside ours.
#[derive(Debug, Clone, Copy)]
pub struct Quantizer {
    /// Writes a file (the second) of a GGUF file (the first): llama.cpp's number of the mixture, an
    /// importance matrix if there is one, threads.
    pub quantize: fn(&Path, &Path, u32, Option<&Imatrix>, usize) -> Result<()>,
    /// Reads windows with a file and so many threads, and scores what EdgeFormer scores of them.
    pub read: fn(&Path, &Windows, usize, Score<'_>) -> Result<()>,
}

/// An engine that is built in.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    /// What it is called.
    pub name: &'static str,
    /// For which instruction sets it was built, where that was chosen when it was.
    pub build: Option<&'static str>,
    /// Its quantizer, if it has one of its own.
    pub quantizer: Option<Quantizer>,
    run: fn(&Setup, Body<'_>) -> Result<()>,
}

impl Engine {
    /// The engines of this build.
    pub fn builtin() -> Vec<Self> {
        vec![
            edgeformer::ENGINE,
            #[cfg(feature = "peer-llama-cpp")]
            llama_cpp::ENGINE,
            #[cfg(feature = "peer-candle")]
            candle::ENGINE,
            #[cfg(feature = "backend-onnx")]
            edgeformer::ON_ONNX,
            #[cfg(feature = "backend-onnx")]
            onnxruntime::ENGINE,
            #[cfg(feature = "backend-candle")]
            edgeformer::ON_CANDLE,
        ]
    }

    /// The engine of that name.
    ///
    /// # Errors
    /// If there is none, or it was not built in.
    pub fn named(name: &str) -> Result<Self> {
        if let Some(engine) = Self::builtin().into_iter().find(|engine| engine.name == name) {
            return Ok(engine);
        }
        Err(Error::Request(match PEERS.iter().find(|(known, _)| *known == name) {
            Some((_, feature)) => {
                format!("{name} is not in this build: build with `--features {feature}`")
            }
            None => {
                let known = PEERS.map(|(known, _)| known).join(", ");
                format!("unknown peer {name:?}, known are {known}")
            }
        }))
    }

    /// Loads a model and hands it to `body`.
    ///
    /// # Errors
    /// If the engine cannot load the model, or what `body` says.
    pub fn run(&self, setup: &Setup, body: Body<'_>) -> Result<()> {
        (self.run)(setup, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_are_not_there_are_told_with_what_to_do() {
        assert_eq!(Engine::named(OURS).unwrap().name, OURS);
        let problem = Engine::named("llama.c").unwrap_err().to_string();
        assert_eq!(
            problem,
            "unknown peer \"llama.c\", known are llama.cpp, candle, edgeformer/onnx, edgeformer/candle, onnxruntime"
        );
        for (name, feature) in PEERS {
            match Engine::named(name) {
                Ok(engine) => assert_eq!(engine.name, name),
                Err(error) => assert!(error.to_string().contains(feature), "{error}"),
            }
        }
    }
}
