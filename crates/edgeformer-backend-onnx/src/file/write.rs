//! Writes a model as a `.onnx` file.

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use edgeformer_core::{Model, Result};
use tempfile::NamedTempFile;

use super::check::check;
use super::proto::{External, model as model_message, tensor};
use crate::onnx::OnnxGraph;
use crate::translate::{Counts, Options, Target, translate};

/// Smaller constants are in the `.onnx` file itself.
const SMALL: usize = 1024;
/// Tensors begin at multiples of this, as kernels like them.
const ALIGNMENT: u64 = 64;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSummary {
    /// The `.onnx` file.
    pub model: PathBuf,
    /// The file with the weights, beside it.
    pub data: PathBuf,
    /// Operators of the graph.
    pub nodes: usize,
    /// Bytes of the weights.
    pub data_bytes: u64,
}

/// Writes a model as `path` and its weights as `path` with `.data` behind. The graph takes
/// `input_ids`, `attention_mask`, `position_ids` and `past_key_values.N.key` and `.value`, and
/// makes `logits` and `present.N.key` and `.value`. Both files appear when they are whole.
///
/// # Errors
/// If the model is not well formed, a file is there and `force` does not say that it may be
/// replaced, or writing fails.
pub fn export(model: &Model, path: &Path, force: bool) -> Result<ExportSummary> {
    model.graph.check()?;
    model.weights.check(&model.graph)?;
    let (folder, location) = places(path)?;
    let data = folder.join(&location);
    for file in [path, &data] {
        if !force && file.symlink_metadata().is_ok() {
            let problem = format!("{}: is there already: --force replaces it", file.display());
            return Err(std::io::Error::new(ErrorKind::AlreadyExists, problem).into());
        }
    }
    let options = Options {
        target: Target::File,
        in_place: true,
        expanded: false,
        window: None,
        counts: Counts::Unknown,
        plain: false,
    };
    let graph = translate(model, options)?.graph;
    let mut weights = NamedTempFile::new_in(folder)?;
    let (tensors, data_bytes) = write_weights(&graph, &location, weights.as_file_mut())?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(model_message(&graph, tensors).bytes())?;
    keep(weights, &data)?;
    keep(file, path)?;
    check(path)?;
    Ok(ExportSummary { model: path.into(), data, nodes: graph.nodes.len(), data_bytes })
}

/// The folder, and the name of the file with the weights.
fn places(path: &Path) -> Result<(&Path, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| {
        let problem = format!("{}: no name for a file", path.display());
        std::io::Error::new(ErrorKind::InvalidInput, problem)
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok((folder, format!("{name}.data")))
}

fn write_weights(
    graph: &OnnxGraph,
    location: &str,
    file: &mut std::fs::File,
) -> Result<(Vec<super::wire::Message>, u64)> {
    let mut file = BufWriter::new(file);
    let mut tensors = Vec::new();
    let mut offset: u64 = 0;
    // A tied table is in two shapes: its bytes are there once.
    let mut written = BTreeMap::new();
    for initializer in &graph.initializers {
        if initializer.byte_len() <= SMALL {
            tensors.push(tensor(initializer, None));
            continue;
        }
        let length = initializer.byte_len() as u64;
        let known = written.get(&initializer.data.identity()).copied();
        let start = match known {
            Some(start) => start,
            None => {
                let start = offset.next_multiple_of(ALIGNMENT);
                file.write_all(&vec![0; (start - offset) as usize])?;
                file.write_all(&initializer.bytes())?;
                offset = start + length;
                written.insert(initializer.data.identity(), start);
                start
            }
        };
        tensors.push(tensor(initializer, Some(&External { location, offset: start, length })));
    }
    file.flush()?;
    Ok((tensors, offset))
}

/// Gives a file its name, with the permissions of other files.
fn keep(file: NamedTempFile, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
