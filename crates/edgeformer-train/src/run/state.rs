//! What a run needs to go on as if it had never stopped.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use edgeformer_models::safetensors::Safetensors;
use safetensors::tensor::{Dtype, View, serialize_to_file};
use serde::{Deserialize, Serialize};

use super::average::Average;
use crate::optimizer::{Coded, Moments};
use crate::trainer::Trainer;
use crate::{Error, Parameter, Result};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps that were taken.
    pub step: u64,
    /// Which settings, data and model it belongs to.
    pub identity: String,
    /// The evaluation with the lowest loss: its step and loss.
    pub best: Option<(u64, f64)>,
    /// The share of classes that it told.
    #[serde(default)]
    pub best_accuracy: Option<f64>,
    /// Evaluations since.
    pub stale: u64,
}

const PROGRESS: &str = "state.json";
const TENSORS: &str = "state.safetensors";

/// What helps where a checkpoint is damaged.
const REMOVE: &str = "remove this checkpoint to go on from an earlier one";

/// One tensor of a checkpoint. Its bytes are made when they are written: all of them together would
/// take as much memory again as the run.
enum Kept<'a> {
    Weight(&'a Parameter),
    Floats(&'a [f32], [usize; 1]),
    Codes(&'a [u8], [usize; 1]),
}

impl<'a> Kept<'a> {
    fn floats(values: &'a [f32]) -> Self {
        Self::Floats(values, [values.len()])
    }

    fn codes(codes: &'a [u8]) -> Self {
        Self::Codes(codes, [codes.len()])
    }
}

impl View for Kept<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Weight(_) | Self::Floats(..) => Dtype::F32,
            Self::Codes(..) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Weight(parameter) => parameter.variable.dims(),
            Self::Floats(_, shape) | Self::Codes(_, shape) => shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Weight(parameter) => {
                let values = parameter.values().expect("a variable of f32 can be read");
                Cow::Owned(bytes(&values))
            }
            Self::Floats(values, _) => Cow::Owned(bytes(values)),
            Self::Codes(codes, _) => Cow::Borrowed(codes),
        }
    }

    fn data_len(&self) -> usize {
        self.shape().iter().product::<usize>() * self.dtype().bitsize() / 8
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes all that a run depends on into an empty folder.
pub(crate) fn write(
    folder: &Path,
    progress: &Progress,
    trainer: &Trainer,
    average: Option<&Average>,
) -> Result<()> {
    let mut tensors: Vec<(String, Kept<'_>)> = Vec::new();
    for (index, parameter) in trainer.parameters().iter().enumerate() {
        let name = &parameter.name;
        let named = |kind: &str| format!("{kind}/{name}");
        tensors.push((named("weight"), Kept::Weight(parameter)));
        let average = average.map(|average| Kept::floats(&average.means[index]));
        tensors.extend(average.map(|average| (named("average"), average)));
        match &trainer.moments[index] {
            Moments::Full { first, second } => {
                tensors.push((named("first"), Kept::floats(first)));
                tensors.push((named("second"), Kept::floats(second)));
            }
            Moments::Eight { first, second } => {
                for (kind, coded) in [("first", first), ("second", second)] {
                    let (scales, codes) = (format!("{kind}.scales"), format!("{kind}.codes"));
                    tensors.push((named(&scales), Kept::floats(&coded.scales)));
                    tensors.push((named(&codes), Kept::codes(&coded.codes)));
                }
            }
        }
    }
    let path = folder.join(TENSORS);
    serialize_to_file(tensors, None, &path).map_err(|error| damaged(&path, error))?;
    let path = folder.join(PROGRESS);
    let text = serde_json::to_string_pretty(progress).map_err(|error| damaged(&path, error))?;
    fs::write(&path, text).map_err(|source| Error::io(path, source))
}

/// Where the run of a folder stands.
pub(crate) fn progress(folder: &Path) -> Result<Progress> {
    let path = folder.join(PROGRESS);
    let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    serde_json::from_str(&text).map_err(|error| damaged(&path, error))
}

/// Gives a trainer what was written; the average too, if one was kept. One tensor follows the other:
/// all of them together would take as much memory again as the run.
///
/// # Errors
/// If the file is damaged or lacks something: then the trainer has a part of it.
pub(crate) fn read(
    folder: &Path,
    trainer: &mut Trainer,
    mut average: Option<&mut Average>,
) -> Result<Progress> {
    let progress = progress(folder)?;
    let read = Reader::open(folder)?;
    for index in 0..trainer.moments.len() {
        let parameter = &trainer.parameters()[index];
        let (name, length) = (&parameter.name, parameter.variable.elem_count());
        parameter.set_values(&read.floats("weight", name, length)?)?;
        if let Some(average) = &mut average {
            average.means[index] = read.floats("average", name, length)?;
        }
        trainer.moments[index] = read.moments(name, length, &trainer.moments[index])?;
    }
    trainer.steps = progress.step;
    Ok(progress)
}

/// The weights alone, by the order of the trainer's parameters.
pub(crate) fn read_weights(
    folder: &Path,
    trainer: &Trainer,
    averaged: bool,
) -> Result<Vec<Vec<f32>>> {
    let read = Reader::open(folder)?;
    let kind = if averaged { "average" } else { "weight" };
    let one = |one: &Parameter| read.floats(kind, &one.name, one.variable.elem_count());
    trainer.parameters().iter().map(one).collect()
}

/// The tensors of a checkpoint, of which only what is asked for is read.
struct Reader {
    path: PathBuf,
    file: Safetensors,
}

impl Reader {
    fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(TENSORS);
        // The error names the file.
        let file = Safetensors::open(&path)
            .map_err(|error| Error::Request(format!("{error}: {REMOVE}")))?;
        Ok(Self { path, file })
    }

    fn floats(&self, kind: &str, name: &str, length: usize) -> Result<Vec<f32>> {
        let name = format!("{kind}/{name}");
        let found = self.file.tensor(&name).map(|tensor| tensor.to_f32());
        found.filter(|values| values.len() == length).ok_or_else(|| self.missing(&name, length))
    }

    fn bytes(&self, kind: &str, name: &str, length: usize) -> Result<Vec<u8>> {
        let name = format!("{kind}/{name}");
        let missing = || self.missing(&name, length);
        let found = self.file.integers(&name)?.filter(|codes| codes.len() == length);
        let codes = found.ok_or_else(missing)?;
        codes.iter().map(|code| u8::try_from(code).map_err(|_| missing())).collect()
    }

    fn missing(&self, name: &str, length: usize) -> Error {
        damaged(&self.path, format!("has no tensor {name:?} of {length} elements"))
    }

    fn coded(&self, kind: &str, name: &str, like: &Coded) -> Result<Coded> {
        let codes = self.bytes(&format!("{kind}.codes"), name, like.codes.len())?;
        let scales = self.floats(&format!("{kind}.scales"), name, like.scales.len())?;
        Ok(Coded { codes, scales })
    }

    fn moments(&self, name: &str, length: usize, like: &Moments) -> Result<Moments> {
        Ok(match like {
            Moments::Full { .. } => Moments::Full {
                first: self.floats("first", name, length)?,
                second: self.floats("second", name, length)?,
            },
            Moments::Eight { first, second } => Moments::Eight {
                first: self.coded("first", name, first)?,
                second: self.coded("second", name, second)?,
            },
        })
    }
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::file(path, format!("{error}: {REMOVE}"))
}
