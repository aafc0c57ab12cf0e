//! A GGUF file as it is.

use std::sync::Arc;

use edgeformer_core::Backing;

use super::{Checkpoint, LazyTensor};
use crate::gguf::Gguf;

impl From<&Gguf> for Checkpoint {
    fn from(gguf: &Gguf) -> Self {
        let owned = |(key, value): (&str, crate::gguf::MetadataValue<'_>)| {
            (key.to_owned(), value.into_owned())
        };
        let tensor = |info: crate::gguf::TensorInfo<'_>| {
            let tensor = gguf.tensor(info.name()).expect("the file listed it");
            LazyTensor::ready(info.name(), tensor)
        };
        let backing = gguf.file().map(|file| Arc::new(file.clone()) as Arc<dyn Backing>);
        Self {
            path: gguf.path().to_owned(),
            metadata: gguf.metadata().iter().map(owned).collect(),
            tensors: gguf.tensors().map(tensor).collect(),
            backings: backing.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edgeformer_core::Tensor;

    use super::*;
    use crate::gguf::GgufWriter;

    #[test]
    fn a_file_is_written_again_byte_for_byte() {
        let mut writer = GgufWriter::new();
        writer.metadata("general.architecture", "llama").metadata("llama.block_count", 1u32);
        writer.tensor("a.weight", &Tensor::from_f32([2, 3], &[1.0; 6]).unwrap());
        let mut before = Vec::new();
        writer.write_to(&mut before).unwrap();

        let gguf = Gguf::from_bytes("made.gguf", Bytes::from(before.clone())).unwrap();
        let mut checkpoint = Checkpoint::from(&gguf);
        assert_eq!(checkpoint.architecture(), Some("llama"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.gguf");
        checkpoint.write_gguf(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);

        checkpoint.set("llama.block_count", 2u32);
        checkpoint.unset("general.architecture");
        assert_eq!(
            checkpoint.get("llama.block_count").and_then(|value| value.as_integer()),
            Some(2)
        );
        assert_eq!(checkpoint.architecture(), None);
    }
}
