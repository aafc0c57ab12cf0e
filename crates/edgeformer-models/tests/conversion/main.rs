//! Hugging Face folders to GGUF and back: the same model, the same bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixtures;
mod folders;
mod real;
mod tokenizers;

use std::path::{Path, PathBuf};

use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::hyper::Hyper;
use edgeformer_models::safetensors::Safetensors;
use tempfile::TempDir;

/// A folder as a GGUF file, and that file as a folder again.
struct RoundTrip {
    _folder: TempDir,
    gguf: PathBuf,
    hf: PathBuf,
}

impl RoundTrip {
    fn of(folder: &Path, outtype: OutType) -> Self {
        let temporary = TempDir::new().unwrap();
        let (gguf, hf) = (temporary.path().join("model.gguf"), temporary.path().join("hf"));
        let there = Checkpoint::open(folder).unwrap_or_else(|error| panic!("{error}"));
        there.with_outtype(outtype).write_gguf(&gguf).unwrap();
        let back = Checkpoint::open(&gguf).unwrap();
        let back = back.to_hf(OutType::Auto).unwrap_or_else(|error| panic!("{error}"));
        back.write(&hf, &mut |_, _| Ok(())).unwrap();
        Self { _folder: temporary, gguf, hf }
    }

    fn hyper(&self) -> Hyper {
        edgeformer_models::open(&self.hf).unwrap_or_else(|error| panic!("{error}")).hyper
    }
}

/// Tensors that differ between two folders: by name, type, shape or bytes.
fn differences(before: &Path, after: &Path) -> Vec<String> {
    let (before, after) = (Safetensors::open(before).unwrap(), Safetensors::open(after).unwrap());
    let same = |name: &str| {
        let (a, b) = (before.info(name), after.info(name));
        a == b
            && before.tensor(name).map(|t| t.bytes().clone())
                == after.tensor(name).map(|t| t.bytes().clone())
    };
    let mut names: Vec<&str> = before.names().chain(after.names()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| !same(name)).map(str::to_owned).collect()
}
