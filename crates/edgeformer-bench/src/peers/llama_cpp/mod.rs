//! llama.cpp, through the crate `llama-cpp-2`, set up as its own `llama-bench` does.
//!
//! - `score`: what it says of a text, to lay beside our own figures
//! - `quantize`: its quantizer

#[allow(unsafe_code, reason = "llama.cpp's quantizer is there through its C interface alone")]
mod quantize;
mod score;

use std::num::NonZeroU32;

use edgeformer_core::CacheFormat;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};

use super::{Body, CHUNK, Engine, Quantizer, Runner, Setup};
use crate::{Error, Result};

pub(super) const ENGINE: Engine = Engine {
    name: "llama.cpp",
    build: option_env!("EDGEFORMER_PEER_ISA"),
    quantizer: Some(Quantizer { quantize: quantize::quantize, read: score::for_each_logits }),
    run,
};

/// Tokens that one call takes: llama-bench's `n_batch`, and its default.
const BATCH: usize = 2048;

fn run(setup: &Setup, body: Body<'_>) -> Result<()> {
    quiet();
    let backend = LlamaBackend::init().map_err(|error| refused(&error))?;
    let path = &setup.model.path;
    // llama.cpp says no more than that loading failed; whether there is a file can be told.
    std::fs::metadata(path).map_err(|error| Error::file(path, error))?;
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())
        .map_err(|error| Error::file(path, format!("llama.cpp: {error}")))?;
    let context = model
        .new_context(&backend, parameters(setup)?)
        .map_err(|error| Error::file(path, format!("llama.cpp: {error}")))?;
    let vocabulary = usize::try_from(model.n_vocab()).unwrap_or(0);
    body(&mut Loaded { vocabulary, context, tokens: Vec::with_capacity(BATCH) })
}

/// Its log says much that nobody asked for.
fn quiet() {
    send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
}

fn parameters(setup: &Setup) -> Result<LlamaContextParams> {
    let context = u32::try_from(setup.context).ok().and_then(NonZeroU32::new);
    let threads = i32::try_from(setup.threads());
    let (Some(context), Ok(threads)) = (context, threads) else {
        let (context, threads) = (setup.context, setup.threads());
        return Err(Error::Request(format!(
            "llama.cpp: no context of {context} tokens with {threads} threads"
        )));
    };
    Ok(LlamaContextParams::default()
        .with_n_ctx(Some(context))
        .with_n_batch(BATCH as u32)
        .with_n_ubatch(CHUNK as u32)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(cache_type(setup.cache_type_k)?)
        .with_type_v(cache_type(setup.cache_type_v)?))
}

fn cache_type(format: CacheFormat) -> Result<KvCacheType> {
    Ok(match format {
        CacheFormat::F32 => KvCacheType::F32,
        CacheFormat::F16 => KvCacheType::F16,
        CacheFormat::Q8_0 => KvCacheType::Q8_0,
        CacheFormat::Q4_0 => KvCacheType::Q4_0,
        other => {
            return Err(Error::Request(format!("llama.cpp has no {} cache", other.name())));
        }
    })
}

fn refused(error: &dyn std::fmt::Display) -> Error {
    Error::Process(format!("llama.cpp: {error}"))
}

struct Loaded<'a> {
    vocabulary: usize,
    context: LlamaContext<'a>,
    tokens: Vec<LlamaToken>,
}

impl Runner for Loaded<'_> {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn clear(&mut self) -> Result<()> {
        self.context.clear_kv_cache();
        Ok(())
    }

    fn read(&mut self, tokens: &[u32]) -> Result<()> {
        for tokens in tokens.chunks(BATCH) {
            self.tokens.clear();
            self.tokens.extend(tokens.iter().map(|&token| LlamaToken::new(token as i32)));
            let mut batch = LlamaBatch::get_one(&self.tokens).map_err(|error| refused(&error))?;
            self.context.decode(&mut batch).map_err(|error| refused(&error))?;
        }
        self.context.synchronize();
        Ok(())
    }
}
