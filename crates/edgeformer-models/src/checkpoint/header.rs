//! A checkpoint as the readers of GGUF files see it.

use bytes::Bytes;
use edgeformer_core::Tensor;

use super::Checkpoint;
use crate::gguf::{Gguf, Metadata};
use crate::gguf_model::{self, Tensors};
use crate::hyper::Hyper;
use crate::{Error, Result};

impl Checkpoint {
    /// Its metadata, to be read as a file's are.
    pub(crate) fn header(&self) -> Result<Metadata> {
        let writer = self.metadata_writer();
        let mut bytes = Vec::new();
        writer.write_to(&mut bytes).map_err(|source| Error::io(&self.path, source))?;
        Ok(Gguf::from_bytes(&self.path, Bytes::from(bytes))?.metadata().clone())
    }

    /// The hyper-parameters that its metadata and the shapes of its tensors state.
    ///
    /// # Errors
    /// If they state none that are read.
    pub fn hyper(&self) -> Result<Hyper> {
        gguf_model::hyper(&self.header()?, self)
    }
}

impl Tensors for Checkpoint {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.tensor(name)?.shape().to_vec())
    }

    fn tensor(&self, name: &str) -> Option<Tensor> {
        self.tensor(name)?.load().ok()
    }
}
