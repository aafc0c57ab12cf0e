//! What llama.cpp says of a text.

use std::num::NonZeroU32;
use std::path::Path;

use edgeformer::evaluate::Windows;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use super::super::Score;
use super::refused;
use crate::{Error, Result};

/// Reads each window as a text of its own, keys and values in f32, and hands over every row of
/// logits that EdgeFormer scores, in order, with the token that comes next.
///
/// # Errors
/// If the file cannot be loaded, a window not be read, or what `score` says.
pub fn for_each_logits(
    path: &Path,
    windows: &Windows,
    threads: usize,
    score: Score<'_>,
) -> Result<()> {
    super::quiet();
    let backend = LlamaBackend::init().map_err(|error| refused(&error))?;
    let failed = |error: &dyn std::fmt::Display| Error::file(path, format!("llama.cpp: {error}"));
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())
        .map_err(|error| failed(&error))?;
    let parameters = parameters(windows.context(), threads);
    let mut context = model.new_context(&backend, parameters).map_err(|error| failed(&error))?;
    let mut batch = LlamaBatch::new(windows.context(), 1);
    for window in windows.iter() {
        context.clear_kv_cache();
        batch.clear();
        let first = window.context().len();
        let tokens = window.context().iter().chain(window.scored());
        for (position, &token) in tokens.enumerate() {
            let token = LlamaToken::new(token.cast_signed());
            batch
                .add(token, position as i32, &[0], position >= first)
                .map_err(|error| refused(&error))?;
        }
        context.decode(&mut batch).map_err(|error| refused(&error))?;
        for (row, &next) in window.next().iter().enumerate() {
            score(context.get_logits_ith((first + row) as i32), next)?;
        }
    }
    Ok(())
}

/// A window is one step.
fn parameters(context: usize, threads: usize) -> LlamaContextParams {
    let size = u32::try_from(context).ok().and_then(NonZeroU32::new);
    let step = size.map_or(1, NonZeroU32::get);
    let threads = i32::try_from(threads).unwrap_or(1);
    LlamaContextParams::default()
        .with_n_ctx(size)
        .with_n_batch(step)
        .with_n_ubatch(step)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(KvCacheType::F32)
        .with_type_v(KvCacheType::F32)
}
