//! Files of packed weights: where they lie, how they are made and checked. What is in them is the
//! backend's.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use edgeformer_core::{PackedFile, PackedSummary, PackedUse};
use edgeformer_models::atomic::write_atomically;
use edgeformer_models::{ModelFile, OpenOptions, Source, SourceKind, map_weights};
use serde::Serialize;

use crate::engine::Chosen;
use crate::{EngineOptions, Error, ModelSource, Result};

/// What a packed file is called: behind the whole name of a GGUF file, or in a folder of
/// safetensors.
const EXTENSION: &str = ".packed";
const IN_FOLDER: &str = "model.packed";

/// Which file of packed weights is used instead of packing at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PackedWeights {
    /// `MODEL.gguf.packed`, or `model.packed` in a folder of safetensors, if it is there.
    #[default]
    Beside,
    /// This one.
    File(PathBuf),
    /// None.
    Ignored,
}

/// What was packed or checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Packed {
    /// The file.
    pub packed_file: PathBuf,
    /// What it holds.
    #[serde(flatten)]
    pub summary: PackedSummary,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Writes the weights of a model as the backend packs them, for the next start: to `to`, or beside
/// the model. The file appears whole or stays as it was; no more than a few MiB of it are in memory.
/// `progress` is told how many bytes of how many are written; its error ends the writing.
///
/// # Errors
/// If the model cannot be opened, nothing of it is packed, another kind of file is in the way, or
/// writing fails.
pub fn pack(
    source: &ModelSource,
    options: &EngineOptions,
    to: Option<&Path>,
    progress: &dyn Fn(u64, u64) -> io::Result<()>,
) -> Result<Packed> {
    let start = Instant::now();
    let file = source.open_adapted(&OpenOptions { tokenizer: false }, &options.adapters)?;
    let chosen = Chosen::of(&file.model.graph, options)?;
    chosen.compile.check_repack()?;
    let path = match (to, source) {
        (Some(path), _) => path.to_owned(),
        (None, _) if !options.adapters.is_empty() => return Err(not_beside()),
        (None, ModelSource::Path(_)) => beside(&file.source),
        (None, ModelSource::Embedded) => {
            let problem = "the embedded model is no file to lie beside: name one with --output";
            return Err(edgeformer_core::Error::Config(problem.into()).into());
        }
    };
    refuse_foreign(&path)?;
    let mut outcome = Ok(PackedSummary::default());
    let written = write_atomically(&path, |out| {
        outcome = chosen.backend().write_packed(&file.model, &chosen.compile, out, progress);
        match &outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    });
    let summary = match outcome {
        // What has nothing to do with the file does not name it.
        Err(error) if !matches!(error, edgeformer_core::Error::Io(_)) => return Err(error.into()),
        outcome => {
            written?;
            outcome?
        }
    };
    Ok(Packed { packed_file: path, summary, seconds: start.elapsed().as_secs_f64() })
}

/// Reads all of a model's packed file, `file` or the one beside it, and all of the model that was
/// packed.
///
/// # Errors
/// If there is none, or it does not belong to the model, or a byte of it is not what was written.
pub fn verify_packed(
    source: &ModelSource,
    options: &EngineOptions,
    file: Option<&Path>,
) -> Result<Packed> {
    let start = Instant::now();
    let wanted = file.map_or(PackedWeights::Beside, |path| PackedWeights::File(path.to_owned()));
    if file.is_none() && !options.adapters.is_empty() {
        return Err(not_beside());
    }
    let model = source.open_adapted(&OpenOptions { tokenizer: false }, &options.adapters)?;
    let mut chosen = Chosen::of(&model.model.graph, options)?;
    chosen.compile.check_repack()?;
    chosen.find_packed(source, &model, &wanted);
    let Some(FoundPacked { path, file }) = &chosen.packed else {
        return Err(Error::Request(format!(
            "{source}: there is no packed file beside it: edgeformer pack makes one"
        )));
    };
    let wrong = |problem: String| Error::PackedFile { path: path.clone(), problem };
    let bytes = file.as_ref().map_err(|problem| wrong(problem.clone()))?.bytes().len() as u64;
    match chosen.backend().check_packed(&model.model, &chosen.compile, true)? {
        PackedUse::Mapped(tensors) => Ok(Packed {
            packed_file: path.clone(),
            summary: PackedSummary { tensors, bytes },
            seconds: start.elapsed().as_secs_f64(),
        }),
        PackedUse::Refused(problem) => Err(wrong(problem)),
        PackedUse::Absent => {
            Err(wrong(format!("{} uses the weights in place: nothing is packed", chosen.name())))
        }
    }
}

/// What lies beside a model is found by every start, with adapters or without.
fn not_beside() -> Error {
    let problem = "the packed file beside a model is of the model without adapters: name another with --output";
    edgeformer_core::Error::Config(problem.into()).into()
}

/// Whether a path is free, or holds a file of packed weights that may be replaced.
fn refuse_foreign(path: &Path) -> Result<()> {
    let wrong = |problem: String| Error::PackedFile { path: path.to_owned(), problem };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| wrong(error.to_string()))?,
    };
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut start = Vec::new();
    let magic = &PackedFile::MAGIC;
    if is_file && file.take(magic.len() as u64).read_to_end(&mut start).is_ok() && start == magic {
        return Ok(());
    }
    Err(wrong("this is no file of packed weights and is not overwritten: name another file".into()))
}

/// Where the packed file of a model lies.
fn beside(source: &Source) -> PathBuf {
    match &source.kind {
        SourceKind::Gguf(_) => {
            let mut path = source.path.clone().into_os_string();
            path.push(EXTENSION);
            path.into()
        }
        SourceKind::HuggingFace { .. } => source.path.join(IN_FOLDER),
    }
}

/// A packed file that was found, mapped and not yet looked at.
#[derive(Debug)]
pub struct FoundPacked {
    /// Where it lies.
    pub path: PathBuf,
    /// The file, or why it cannot be looked at.
    pub file: Result<PackedFile, String>,
}

impl FoundPacked {
    /// The packed file that is wanted for a model, if there is one.
    pub(crate) fn of(
        source: &ModelSource,
        file: &ModelFile,
        wanted: &PackedWeights,
    ) -> Option<Self> {
        match (wanted, source) {
            (PackedWeights::File(path), _) => Some(Self::at(path.clone())),
            (PackedWeights::Beside, ModelSource::Path(_)) => Self::beside(file),
            (PackedWeights::Beside, ModelSource::Embedded) | (PackedWeights::Ignored, _) => None,
        }
    }

    /// The packed file that lies beside a model, if there is one.
    pub fn beside(model: &ModelFile) -> Option<Self> {
        let path = beside(&model.source);
        let there = path.symlink_metadata();
        let absent = there.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        (!absent).then(|| Self::at(path))
    }

    fn at(path: PathBuf) -> Self {
        let file = match map_weights(&path) {
            Ok(bytes) => Ok(PackedFile::new(&path, bytes)),
            Err(edgeformer_models::Error::Io { source, .. }) => Err(source.to_string()),
            Err(edgeformer_models::Error::Format { problem, .. }) => Err(problem),
            Err(error) => Err(error.to_string()),
        };
        Self { path, file }
    }

    /// Why the file is of no use, and what to do; `None` if it is used.
    pub fn warning(&self, used: &PackedUse) -> Option<String> {
        let problem = match (&self.file, used) {
            (Err(problem), _) | (Ok(_), PackedUse::Refused(problem)) => problem,
            (Ok(_), PackedUse::Mapped(_) | PackedUse::Absent) => return None,
        };
        Some(format!(
            "packed file {} ignored: {problem}; make it again with edgeformer pack, or delete it",
            self.path.display()
        ))
    }

    /// What becomes of the file, for people; `None` where nothing is packed.
    pub(crate) fn told(&self, used: &PackedUse) -> Option<String> {
        match used {
            PackedUse::Mapped(_) => {
                Some(format!("weights mapped as packed in {}", self.path.display()))
            }
            used => self.warning(used),
        }
    }
}
