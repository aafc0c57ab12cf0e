//! What llama.cpp says of a text.

use std::num::NonZeroU32;
use std::path::Path;

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use super::refused;
use crate::{Error, Result};

/// Reads each window of tokens as a text of its own and hands its logits over, a row a token of
/// which a score is wanted: from `first` on, in order, with the window's index and the row's
/// position.
///
/// # Errors
/// If the file cannot be loaded, a window not be read, or what `score` says.
pub fn for_each_logits<'a>(
    path: &Path,
    windows: impl Iterator<Item = &'a [u32]>,
    context: usize,
    first: usize,
    threads: usize,
    mut score: impl FnMut(usize, usize, &[f32]) -> Result<()>,
) -> Result<()> {
    super::quiet();
    let backend = LlamaBackend::init().map_err(|error| refused(&error))?;
    let failed = |error: &dyn std::fmt::Display| Error::file(path, format!("llama.cpp: {error}"));
    let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())
        .map_err(|error| failed(&error))?;
    let size = u32::try_from(context).ok().and_then(NonZeroU32::new);
    let threads = i32::try_from(threads).unwrap_or(1);
    let parameters = LlamaContextParams::default()
        .with_n_ctx(size)
        .with_n_batch(size.map_or(1, NonZeroU32::get))
        .with_n_ubatch(size.map_or(1, NonZeroU32::get))
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_type_k(KvCacheType::F32)
        .with_type_v(KvCacheType::F32);
    let mut context_of = model.new_context(&backend, parameters).map_err(|error| failed(&error))?;
    let mut batch = LlamaBatch::new(context, 1);
    for (index, window) in windows.enumerate() {
        context_of.clear_kv_cache();
        batch.clear();
        for (position, &token) in (0..).zip(window) {
            let wanted = position as usize >= first;
            batch
                .add(LlamaToken::new(token.cast_signed()), position, &[0], wanted)
                .map_err(|error| refused(&error))?;
        }
        context_of.decode(&mut batch).map_err(|error| refused(&error))?;
        for position in first..window.len() {
            score(index, position, context_of.get_logits_ith(position as i32))?;
        }
    }
    Ok(())
}
