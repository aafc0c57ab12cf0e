use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeformer_core::config::AdapterSetting;
use edgeformer_models::adapter::AdapterFile;
use edgeformer_models::{ModelFile, OpenOptions};

use crate::{Error, Result, embedded};

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A GGUF file, or a folder as Hugging Face lays it out.
    Path(PathBuf),
    /// The small model that is compiled in (feature `embedded-model`).
    Embedded,
}

impl ModelSource {
    /// The path, or the embedded model without one.
    pub fn from_path(path: Option<&Path>) -> Self {
        path.map_or(Self::Embedded, |path| Self::Path(path.to_owned()))
    }

    /// Opens the files alone, for tools that look into them. Weights are mapped, not read.
    ///
    /// # Errors
    /// If they are damaged or not known.
    pub fn open_file(&self, options: &OpenOptions) -> Result<ModelFile> {
        match self {
            Self::Path(path) => Ok(edgeformer_models::open_with(path, options)?),
            Self::Embedded => {
                let missing =
                    || Error::Request("no model is compiled in: name one with --model".into());
                let file = embedded::file().ok_or_else(missing)?;
                Ok(edgeformer_models::open_gguf_bytes("tiny-shakespeare.gguf", file, options)?)
            }
        }
    }

    /// [`ModelSource::open_file`], with adapters beside the weights. Their scales are what sequences
    /// have that ask for no others
    /// ([`KvCache::set_adapters`](edgeformer_core::KvCache::set_adapters)).
    ///
    /// # Errors
    /// As [`ModelSource::open_file`], and if an adapter is damaged or for another model.
    pub fn open_adapted(
        &self,
        options: &OpenOptions,
        adapters: &[AdapterSetting],
    ) -> Result<ModelFile> {
        let mut file = self.open_file(options)?;
        for AdapterSetting { path, scale } in adapters {
            let adapter = AdapterFile::open(path)?.for_model(&file)?;
            file.model = Arc::new(file.model.with_adapter_by_sequence(&adapter, *scale)?);
        }
        Ok(file)
    }
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Embedded => f.write_str("the embedded model"),
        }
    }
}
