//! The keys of an architecture, every number checked.

use edgeformer_core::Tensor;

use crate::error::quote;
use crate::gguf::{Gguf, Metadata, MetadataValue};
use crate::hyper::MAX_LAYERS;
use crate::{Error, Result};

/// Largest width or count that a file may name.
const LARGEST: usize = 1 << 28;

/// The tensors beside metadata: a file's, or those of a file that is yet to be written.
pub(crate) trait Tensors {
    /// The dimensions of a tensor, outermost first.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// A tensor.
    fn tensor(&self, name: &str) -> Option<Tensor>;
}

impl Tensors for Gguf {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.info(name)?.shape().to_vec())
    }

    fn tensor(&self, name: &str) -> Option<Tensor> {
        Self::tensor(self, name)
    }
}

/// Metadata under the architecture's prefix: `block_count` is `llama.block_count`.
pub(super) struct Keys<'a> {
    pub metadata: &'a Metadata,
    pub tensors: &'a dyn Tensors,
    pub architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    /// An error about a key.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> Error {
        self.metadata.error(&self.full(key), problem)
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.error(key, "is missing: convert the model again"))
    }

    /// Whether the file has a tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.tensors.shape(tensor).is_some()
    }

    /// A count that may be absent or zero.
    pub fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        match self.metadata.usize(&self.full(key))? {
            Some(count) if count > LARGEST => {
                Err(self.error(key, format!("is {count}, at most {LARGEST} is read")))
            }
            count => Ok(count),
        }
    }

    /// A width or count of at least one that may be absent.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        match self.optional_count(key)? {
            Some(0) => Err(self.error(key, "is 0, it must be at least 1")),
            size => Ok(size),
        }
    }

    /// A width or count of at least one.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.required(key, self.optional_size(key)?)
    }

    /// How many layers, within what any real model has.
    pub fn layers(&self) -> Result<usize> {
        match self.size("block_count")? {
            layers if layers <= MAX_LAYERS => Ok(layers),
            layers => {
                let problem = format!("is {layers}, at most {MAX_LAYERS} are read");
                Err(self.error("block_count", problem))
            }
        }
    }

    /// Experts that a row goes through, of `count`.
    pub fn top_k(&self, count: usize) -> Result<usize> {
        let key = "expert_used_count";
        match self.size(key)? {
            top_k if top_k <= count => Ok(top_k),
            top_k => Err(self.error(key, format!("is {top_k}, there are only {count} experts"))),
        }
    }

    /// A finite number that may be absent.
    pub fn optional_number(&self, key: &str) -> Result<Option<f32>> {
        self.metadata.f32(&self.full(key))
    }

    /// A positive number that may be absent.
    pub fn optional_positive(&self, key: &str) -> Result<Option<f32>> {
        match self.optional_number(key)? {
            Some(number) if number <= 0.0 => {
                Err(self.error(key, format!("is {number}, it must be positive")))
            }
            number => Ok(number),
        }
    }

    /// A positive number.
    pub fn positive(&self, key: &str) -> Result<f32> {
        self.required(key, self.optional_positive(key)?)
    }

    /// A soft cap; zero is none.
    pub fn cap(&self, key: &str, default: Option<f32>) -> Result<Option<f32>> {
        match self.optional_number(key)? {
            None => Ok(default),
            Some(0.0) => Ok(None),
            Some(_) => self.optional_positive(key),
        }
    }

    /// A switch that may be absent.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.metadata.bool(&self.full(key))
    }

    /// A text that may be absent.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.metadata.str(&self.full(key))
    }

    /// Classes of the classifier, `None` where the file has none.
    pub fn classes(&self) -> Result<Option<usize>> {
        let head = "cls.output.weight";
        if !self.has(head) {
            return Ok(None);
        }
        self.matrix(head).map(|[classes, _]| Some(classes))
    }

    /// Rows and columns of a matrix that the family needs.
    pub fn matrix(&self, tensor: &str) -> Result<[usize; 2]> {
        let problem = match self.tensors.shape(tensor) {
            None => format!(
                "is missing: {} models need it; the file may hold a vocabulary alone",
                self.architecture
            ),
            Some(shape) => match *shape {
                [rows, columns] => return Ok([rows, columns]),
                _ => format!("has shape {shape:?}, it must be a matrix"),
            },
        };
        Err(Error::format(self.metadata.path(), format!("tensor {}", quote(tensor)), problem))
    }

    /// The windows of layers where all but every `pattern`th have one; the file may state another
    /// pattern, as a number or layer by layer.
    pub fn windows_by_pattern(
        &self,
        layers: usize,
        window: usize,
        pattern: usize,
    ) -> Result<Vec<Option<usize>>> {
        let key = "attention.sliding_window_pattern";
        if let Some(MetadataValue::Array(_)) = self.metadata.get(&self.full(key)) {
            let listed = self.metadata.bool_array(&self.full(key))?.unwrap_or_default();
            if listed.len() != layers {
                let problem = format!("lists {} layers, the model has {layers}", listed.len());
                return Err(self.error(key, problem));
            }
            return Ok(listed.into_iter().map(|sliding| sliding.then_some(window)).collect());
        }
        let pattern = self.optional_size(key)?.unwrap_or(pattern);
        let sliding = |layer: usize| !(layer + 1).is_multiple_of(pattern);
        Ok((0..layers).map(|layer| sliding(layer).then_some(window)).collect())
    }
}
