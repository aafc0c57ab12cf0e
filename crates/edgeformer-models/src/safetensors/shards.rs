//! Writing a folder's tensors: one file, or several with an index.

use std::io;
use std::path::Path;

use edgeformer_core::Tensor;
use serde_json::{Map, Value, json};

use super::write::write_header;
use super::{INDEX_FILE, SINGLE_FILE};
use crate::atomic::write_atomically;
use crate::checkpoint::LazyTensor;
use crate::{Error, Result};

/// Bytes of the largest file that transformers writes.
const LARGEST: u64 = 5_000_000_000;
/// Without this transformers does not read a file.
const FRAMEWORK: &str = r#""__metadata__":{"format":"pt"}"#;

/// Writes tensors into a folder, one at a time: as `model.safetensors`, or in files of at most
/// 5 GB with an index. `release` is called behind each tensor; `progress` hears of bytes written
/// and of all of them, and may end it.
///
/// # Errors
/// If a tensor cannot be made, or writing fails.
pub(crate) fn write_shards(
    folder: &Path,
    tensors: &[LazyTensor],
    release: &dyn Fn(),
    progress: &mut dyn FnMut(u64, u64) -> io::Result<()>,
) -> Result<()> {
    let all = tensors.iter().map(LazyTensor::bytes).sum();
    let shards = shards(tensors, LARGEST);
    let mut written = 0;
    let mut map = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => SINGLE_FILE.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        map.extend(shard.iter().map(|tensor| (tensor.name().to_owned(), json!(name))));
        write_atomically(&folder.join(name), |out| {
            let entries =
                shard.iter().map(|tensor| (tensor.name(), tensor.format(), tensor.shape()));
            write_header(out, entries, FRAMEWORK)?;
            for tensor in *shard {
                out.write_all(tensor.load().map_err(io::Error::other)?.bytes())?;
                release();
                written += tensor.bytes();
                progress(written, all)?;
            }
            Ok(())
        })?;
    }
    if shards.len() == 1 { Ok(()) } else { write_index(&folder.join(INDEX_FILE), all, map) }
}

/// Writes tensors of float formats as one file as torch writes it, which appears whole.
///
/// # Errors
/// If a name comes twice or is too long, a format is quantized, or writing fails.
pub(crate) fn write_for_torch(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<()> {
    write_atomically(path, |out| {
        let entries = tensors.iter().map(|(name, tensor)| (*name, tensor.format(), tensor.shape()));
        write_header(out, entries, FRAMEWORK)?;
        tensors.iter().try_for_each(|(_, tensor)| out.write_all(tensor.bytes()))
    })
}

fn write_index(path: &Path, all: u64, map: Map<String, Value>) -> Result<()> {
    let index = json!({"metadata": {"total_size": all}, "weight_map": map});
    std::fs::write(path, format!("{index:#}\n")).map_err(|source| Error::io(path, source))
}

/// Runs of tensors of at most so many bytes; a larger tensor is a run of its own.
fn shards(tensors: &[LazyTensor], largest: u64) -> Vec<&[LazyTensor]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0);
    for (at, tensor) in tensors.iter().enumerate() {
        if at > start && size + tensor.bytes() > largest {
            shards.push(&tensors[start..at]);
            (start, size) = (at, 0);
        }
        size += tensor.bytes();
    }
    shards.push(&tensors[start..]);
    shards
}

#[cfg(test)]
mod tests {
    use edgeformer_core::Tensor;

    use super::*;
    use crate::safetensors::Safetensors;

    fn tensors(lens: &[usize]) -> Vec<LazyTensor> {
        let tensor = |(i, &len): (usize, &usize)| {
            let tensor = Tensor::from_f32([len], &vec![i as f32; len]).expect("fits");
            LazyTensor::ready(format!("t{i}"), tensor)
        };
        lens.iter().enumerate().map(tensor).collect()
    }

    #[test]
    fn shards_are_filled_in_order() {
        let all = tensors(&[2, 2, 9, 1, 1, 1, 1]);
        let sizes: Vec<usize> = shards(&all, 16).iter().map(|shard| shard.len()).collect();
        assert_eq!(sizes, [2, 1, 4]);
        assert_eq!(shards(&[], 16).len(), 1);
    }

    #[test]
    fn one_file_has_no_index_and_tells_transformers_what_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut heard = Vec::new();
        let mut progress = |done, all| {
            heard.push((done, all));
            Ok(())
        };
        write_shards(folder.path(), &tensors(&[2, 3]), &|| (), &mut progress).expect("written");
        assert_eq!(heard, [(8, 20), (20, 20)]);
        let read = Safetensors::open(folder.path()).expect("valid");
        assert_eq!(read.tensor("t1").expect("is there").to_f32(), [1.0; 3]);
        let bytes = std::fs::read(folder.path().join(SINGLE_FILE)).expect("is there");
        assert!(bytes[8..].starts_with(br#"{"__metadata__":{"format":"pt"},"t0":"#));
        assert!(!folder.path().join(INDEX_FILE).exists());
    }
}
