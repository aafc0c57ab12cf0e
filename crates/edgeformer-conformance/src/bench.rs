//! What a case works with.

use std::sync::Arc;

use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Graph, LatentForm, Model, Program, Result, Session,
    SessionOptions,
};

/// The backend under test.
pub struct Bench<'a> {
    /// The backend.
    pub backend: &'a dyn Backend,
    /// Which of its devices.
    pub device: &'a str,
}

/// Why a case ends before it has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It cannot run here: a file is absent.
    Skipped(String),
    /// It failed.
    Failed(String),
}

impl Stop {
    /// The same with a word in front that says where.
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::Skipped(why) => Self::Skipped(why),
            Self::Failed(why) => Self::Failed(format!("{place}: {why}")),
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Fails unless `held`.
pub(crate) fn ensure(held: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if held { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

/// Options under which results are exact: an f32 cache. Pages are small and odd, so that every
/// case crosses their borders.
pub(crate) fn exact() -> SessionOptions {
    SessionOptions {
        context: 160,
        sequences: 6,
        chunk: 160,
        output_rows: 160,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        page_tokens: 5,
        ..SessionOptions::default()
    }
}

/// The forms of latent attention that round differently; one of no effect without latents.
pub(crate) fn forms(graph: &Graph) -> &'static [LatentForm] {
    match graph.has_latents() {
        true => &[LatentForm::Absorbed, LatentForm::Expanded],
        false => &[LatentForm::Auto],
    }
}

impl Bench<'_> {
    /// The model, compiled for the device.
    pub(crate) fn compile(
        &self,
        model: &Arc<Model>,
        threads: Option<usize>,
    ) -> Result<Arc<dyn Program>> {
        let options =
            CompileOptions { device: self.device.into(), threads, ..CompileOptions::default() };
        self.backend.compile(model.clone(), &options)
    }

    /// A session over the model.
    pub(crate) fn open(
        &self,
        model: &Arc<Model>,
        options: &SessionOptions,
    ) -> Result<Box<dyn Session>> {
        self.compile(model, None)?.open(options)
    }
}
