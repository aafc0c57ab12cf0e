//! The formats that a folder's tensors had, where a GGUF file does not show them: it holds norms
//! and vectors in f32 whatever they were.
//!
//! On the way back an f32 tensor becomes what the matrices are if that loses nothing. Tensors for
//! which this would be wrong are recorded, in keys of our own.

use std::collections::HashMap;

use edgeformer_core::{Format, Tensor};

use super::Checkpoint;
use super::outtype::converted;
use crate::gguf::{MetadataArray, MetadataValue};
use crate::{Error, Result};

/// The formats that safetensors has, with the key of the tensors that had it.
const KEYS: [(Format, &str); 3] = [
    (Format::F32, "edgeformer.tensors.f32"),
    (Format::F16, "edgeformer.tensors.f16"),
    (Format::BF16, "edgeformer.tensors.bf16"),
];

/// The keys that say which tensors were of another format than the first, which is the table of
/// embeddings.
pub(super) fn record(formats: &[(&str, Format)]) -> Vec<(String, MetadataValue<'static>)> {
    let Some(&(_, main)) = formats.first() else { return Vec::new() };
    let others = |wanted: Format| formats.iter().filter(move |(_, format)| *format == wanted);
    KEYS.iter()
        .filter(|(format, _)| *format != main && others(*format).next().is_some())
        .map(|(format, key)| {
            let names = others(*format).map(|(name, _)| *name);
            ((*key).to_owned(), MetadataArray::strings(names).into())
        })
        .collect()
}

/// What each tensor of a checkpoint was before.
pub(super) struct Dtypes {
    recorded: HashMap<String, Format>,
    main: Format,
    /// Whether another format than the file's was asked for.
    chosen: bool,
}

impl Dtypes {
    /// What the keys record; `first` is the table of embeddings and `wanted` another format for
    /// everything. Quantized tensors become f16.
    pub fn of(checkpoint: &Checkpoint, first: &str, wanted: Option<Format>) -> Self {
        let mut recorded = HashMap::new();
        for (format, key) in KEYS {
            let Some(names) = checkpoint.get(key).and_then(MetadataValue::as_array) else {
                continue;
            };
            for name in names {
                recorded.extend(name.as_str().map(|name| (name.to_owned(), format)));
            }
        }
        let main = checkpoint.tensor(first).map(|tensor| tensor.format());
        let main = wanted.or(main.filter(|format| format.is_float())).unwrap_or(Format::F16);
        Self { recorded, main, chosen: wanted.is_some() }
    }

    /// The format of everything that is not said to be of another.
    pub fn main(&self) -> Format {
        self.main
    }

    /// The format that a tensor is dequantized to before it is moved.
    pub fn plain(&self, format: Format) -> Format {
        if format.is_float() { format } else { self.main }
    }

    /// The format that a tensor will have in the folder, if it is known from the format it has
    /// on the way; `None` if it shows in the values alone.
    pub fn known(&self, name: &str, format: Format) -> Option<Format> {
        let plain = self.plain(format);
        match self.recorded.get(name) {
            Some(&format) if !self.chosen || format == Format::F32 => Some(format),
            _ if self.chosen => Some(self.main),
            _ if plain == Format::F32 && self.main != Format::F32 => None,
            _ => Some(plain),
        }
    }

    /// A tensor as the folder has it.
    pub fn restored(&self, name: &str, tensor: Tensor) -> Result<Tensor> {
        let told = |problem| Error::Text(format!("tensor {name:?}: {problem}"));
        match self.recorded.get(name) {
            Some(&format) if !self.chosen || format == Format::F32 => {
                converted(&tensor, format).map_err(told)
            }
            _ if self.chosen => converted(&tensor, self.main).map_err(told),
            _ if tensor.format() == Format::F32 => Ok(self.narrowed(tensor)),
            _ => Ok(tensor),
        }
    }

    /// An f32 tensor in the format of the matrices, if that holds all of its values.
    fn narrowed(&self, tensor: Tensor) -> Tensor {
        let narrow = converted(&tensor, self.main).ok();
        let same = |narrow: &Tensor| {
            converted(narrow, Format::F32).is_ok_and(|back| back.bytes() == tensor.bytes())
        };
        narrow.filter(same).unwrap_or(tensor)
    }
}
