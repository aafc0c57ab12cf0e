//! Tensors as files hold them, and the weights of a model.

mod weight;

use bytes::Bytes;

use crate::{Error, Format, Graph, Result};
pub use weight::{Backing, Weight, Weights};

/// A transformer: what is computed, and with which numbers.
#[derive(Debug, Clone)]
pub struct Model {
    /// What is computed.
    pub graph: Graph,
    /// With which numbers. Holds every weight that the graph names, in its shape.
    pub weights: Weights,
}

/// A tensor in a [`Format`]: row-major, the last dimension contiguous, `[out, in]` for matrices.
///
/// The bytes are a reference-counted slice, of a memory-mapped file as a rule, so cloning is
/// cheap and nothing is copied at load.
#[derive(Clone)]
pub struct Tensor {
    format: Format,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl Tensor {
    /// A tensor over bytes.
    ///
    /// # Errors
    /// If the shape is empty, has a zero, overflows, its last dimension is not a multiple of the
    /// format's block, or the bytes are not exactly as many as it needs.
    pub fn new(format: Format, shape: impl Into<Vec<usize>>, bytes: Bytes) -> Result<Self> {
        let shape = shape.into();
        let needed = format.tensor_bytes(&shape)?;
        if bytes.len() != needed {
            return Err(Error::Format {
                format: format.name(),
                problem: format!("shape {shape:?} takes {needed} bytes, there are {}", bytes.len()),
            });
        }
        Ok(Self { format, shape, bytes })
    }

    /// An f32 tensor from values.
    ///
    /// # Errors
    /// If the shape does not have as many elements as there are values.
    pub fn from_f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Result<Self> {
        Self::quantize(Format::F32, shape, values)
    }

    /// A tensor of `values` in `format`.
    ///
    /// # Errors
    /// If the shape does not have as many elements as there are values, or its rows are not whole
    /// blocks of the format.
    pub fn quantize(format: Format, shape: impl Into<Vec<usize>>, values: &[f32]) -> Result<Self> {
        let shape = shape.into();
        // First of all: it refuses shapes whose elements overflow.
        let needed = format.tensor_bytes(&shape)?;
        let elements: usize = shape.iter().product();
        if elements != values.len() {
            return Err(Error::Format {
                format: format.name(),
                problem: format!(
                    "shape {shape:?} has {elements} elements, there are {} values",
                    values.len()
                ),
            });
        }
        let mut bytes = vec![0; needed];
        format.quantize(values, &mut bytes)?;
        Self::new(format, shape, Bytes::from(bytes))
    }

    /// The format of its elements.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements in all.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Elements of a row: the last dimension.
    pub fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }

    /// Its bytes, as in the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All values as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.elements()];
        self.format.dequantize(&self.bytes, &mut values).expect("a tensor's bytes fit its shape");
        values
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// If the number of elements or the blocks of a row change.
    pub fn reshape(&self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        Self::new(self.format, shape, self.bytes.clone())
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.format.name(), self.shape)
    }
}

#[cfg(test)]
mod tests;
