use std::fmt;
use std::sync::Arc;

use edgeformer_core::{Format, Tensor};

use crate::{Error, Result};

/// A tensor that is made when it is asked for.
#[derive(Clone)]
pub struct LazyTensor {
    name: String,
    format: Format,
    shape: Vec<usize>,
    make: Arc<Make>,
}

type Make = dyn Fn() -> Result<Tensor> + Send + Sync;

impl LazyTensor {
    /// A tensor that `make` makes: in this format and shape.
    pub fn new(
        name: impl Into<String>,
        format: Format,
        shape: impl Into<Vec<usize>>,
        make: impl Fn() -> Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), format, shape: shape.into(), make: Arc::new(make) }
    }

    /// A tensor that is there: in memory, or a slice of a mapped file.
    pub fn ready(name: impl Into<String>, tensor: Tensor) -> Self {
        let (format, shape) = (tensor.format(), tensor.shape().to_vec());
        Self::new(name, format, shape, move || Ok(tensor.clone()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format it will have.
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

    /// Bytes that it will take.
    pub fn bytes(&self) -> u64 {
        (self.elements() / self.format.block_len() * self.format.block_bytes()) as u64
    }

    /// Makes it.
    ///
    /// # Errors
    /// If what it is made of cannot be read.
    pub fn load(&self) -> Result<Tensor> {
        let tensor = (self.make)()?;
        if tensor.format() == self.format && tensor.shape() == self.shape {
            return Ok(tensor);
        }
        let promised = format!("{}{:?}", self.format, self.shape);
        Err(Error::Text(format!(
            "tensor {:?}: made as {tensor:?} instead of {promised}",
            self.name
        )))
    }
}

impl fmt::Debug for LazyTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{:?}", self.name, self.format, self.shape)
    }
}
