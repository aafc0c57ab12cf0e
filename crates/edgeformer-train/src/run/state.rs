//! What a run needs to go on as if it had never stopped.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View, serialize_to_file};
use serde::{Deserialize, Serialize};

use super::average::{Average, set_values};
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

/// Gives a trainer what was written; the average too, if one was kept.
pub(crate) fn read(
    folder: &Path,
    trainer: &mut Trainer,
    average: Option<&mut Average>,
) -> Result<Progress> {
    let progress = progress(folder)?;
    let path = folder.join(TENSORS);
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    let read = Reader::new(&path, &bytes)?;
    let weights = read.all("weight", trainer)?;
    let known = trainer.parameters().iter().zip(&trainer.moments);
    let moments = known.map(|(one, old)| read.moments(&one.name, one.variable.elem_count(), old));
    let moments = moments.collect::<Result<_>>()?;
    if let Some(average) = average {
        average.means = read.all("average", trainer)?;
    }
    set_values(trainer.parameters(), &weights)?;
    trainer.moments = moments;
    trainer.steps = progress.step;
    Ok(progress)
}

/// The weights alone, by the order of the trainer's parameters.
pub(crate) fn read_weights(
    folder: &Path,
    trainer: &Trainer,
    averaged: bool,
) -> Result<Vec<Vec<f32>>> {
    let path = folder.join(TENSORS);
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    let kind = if averaged { "average" } else { "weight" };
    Reader::new(&path, &bytes)?.all(kind, trainer)
}

struct Reader<'a> {
    path: &'a Path,
    file: HashMap<String, TensorView<'a>>,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(path, error))?;
        Ok(Self { path, file: file.tensors().into_iter().collect() })
    }

    /// What was kept of every parameter, in their order.
    fn all(&self, kind: &str, trainer: &Trainer) -> Result<Vec<Vec<f32>>> {
        let one = |one: &crate::Parameter| self.floats(kind, &one.name, one.variable.elem_count());
        trainer.parameters().iter().map(one).collect()
    }

    fn bytes(&self, kind: &str, name: &str, dtype: Dtype, length: usize) -> Result<&[u8]> {
        let name = format!("{kind}/{name}");
        let found = self.file.get(&name).filter(|view| {
            view.dtype() == dtype && view.shape().iter().product::<usize>() == length
        });
        found.map(TensorView::data).ok_or_else(|| {
            let problem = format!("has no tensor {name:?} of {length} elements of {dtype:?}");
            Error::file(self.path, problem)
        })
    }

    fn floats(&self, kind: &str, name: &str, length: usize) -> Result<Vec<f32>> {
        let bytes = self.bytes(kind, name, Dtype::F32, length)?;
        let float = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        Ok(bytes.chunks_exact(4).map(float).collect())
    }

    fn coded(&self, kind: &str, name: &str, like: &Coded) -> Result<Coded> {
        let codes = self.bytes(&format!("{kind}.codes"), name, Dtype::U8, like.codes.len())?;
        let scales = self.floats(&format!("{kind}.scales"), name, like.scales.len())?;
        Ok(Coded { codes: codes.to_vec(), scales })
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
    Error::file(path, format!("{error}: remove this checkpoint to go on from an earlier one"))
}
