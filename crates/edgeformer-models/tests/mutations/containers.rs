//! GGUF and safetensors as containers of tensors and metadata.

use std::path::PathBuf;

use bytes::Bytes;
use edgeformer_core::{Format, Tensor};
use edgeformer_models::gguf::{Gguf, GgufWriter, MetadataArray};
use edgeformer_models::safetensors::{Safetensors, write_safetensors_to};
use edgeformer_models::{Error, Result};

use crate::targets::{SLACK, Target};

/// GGUF and safetensors, and nothing of what models make of them.
pub fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "gguf".into(),
            seeds: vec![gguf_of_everything(), gguf_of_a_llama()],
            read: Box::new(read_gguf),
            mutations: 50_000,
            slack: SLACK,
        },
        Target {
            name: "safetensors".into(),
            seeds: vec![shard(&["a", "b.weight"]), safetensors_of_integers()],
            read: Box::new(read_safetensors),
            mutations: 30_000,
            slack: SLACK,
        },
        Target {
            name: "safetensors index".into(),
            seeds: vec![safetensors_index()],
            read: Box::new(read_index),
            mutations: 20_000,
            slack: SLACK,
        },
    ]
}

fn read_gguf(file: &Bytes) -> Result<()> {
    let file = Gguf::from_bytes("model.gguf", file.clone())?;
    let metadata = file.metadata();
    for (key, value) in metadata.iter() {
        assert!(metadata.get(key).is_some());
        value.as_array().into_iter().flatten().for_each(drop);
        // Types that are not asked for are errors, and those must be no danger either.
        let _ = (metadata.u32(key), metadata.usize(key), metadata.f32(key), metadata.bool(key));
        let _ = (metadata.str(key), metadata.str_array(key).map(|all| all.map(Iterator::count)));
        let _ = metadata.u32_array(key);
        let _ = metadata.f32_array(key);
    }
    for info in file.tensors() {
        let tensor = file.tensor(info.name()).expect("is listed");
        assert_eq!(tensor.bytes().len(), info.range().len());
    }
    Ok(())
}

fn read_safetensors(file: &Bytes) -> Result<()> {
    read_tensors(&Safetensors::from_bytes("model.safetensors", file.clone())?)
}

fn read_index(index: &Bytes) -> Result<()> {
    let path = PathBuf::from("model.safetensors.index.json");
    read_tensors(&Safetensors::from_index(path, index, |file| match file {
        "one.safetensors" => Ok(SHARDS.with(|shards| shards[0].clone())),
        "two.safetensors" => Ok(SHARDS.with(|shards| shards[1].clone())),
        _ => Err(Error::Text("there is no such shard".into())),
    })?)
}

thread_local! {
    /// Made once, so that they do not count as allocated by the reader.
    static SHARDS: [Bytes; 2] = [shard(&["a"]).into(), shard(&["b", "c"]).into()];
}

fn read_tensors(file: &Safetensors) -> Result<()> {
    for name in file.names() {
        let info = file.info(name).expect("is listed");
        match file.tensor(name) {
            Some(tensor) => assert_eq!(tensor.bytes().len(), info.byte_len),
            None => _ = file.integers(name).map(|found| found.map(|all| all.iter().count())),
        }
    }
    Ok(())
}

fn gguf_of_everything() -> Vec<u8> {
    let mut writer = GgufWriter::new();
    writer
        .metadata("general.alignment", 16u32)
        .metadata("u8", 1u8)
        .metadata("i16", -2i16)
        .metadata("u64", 1u64 << 40)
        .metadata("f64", 0.5f64)
        .metadata("bool", true)
        .metadata("text", "a text")
        .metadata("bools", MetadataArray::bools([true, false]))
        .metadata("words", MetadataArray::strings(["one", "", "drei"]))
        .metadata("numbers", &[1i32, 2, 3][..])
        .metadata("nested", MetadataArray::nested([MetadataArray::strings(["x"])]));
    for format in Format::ALL {
        let bytes = vec![1; format.block_bytes()];
        let tensor = Tensor::new(format, [1, format.block_len()], bytes.into());
        writer.tensor(format.name(), &tensor.expect("one block"));
    }
    written(&writer)
}

fn gguf_of_a_llama() -> Vec<u8> {
    let tensor = Tensor::from_f32([4, 8], &[0.5; 32]).expect("fits");
    let mut writer = GgufWriter::new();
    writer
        .metadata("general.architecture", "llama")
        .metadata("llama.block_count", 1u32)
        .metadata("llama.embedding_length", 8u32)
        .metadata("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
        .tensor("token_embd.weight", &tensor)
        .tensor("blk.0.attn_q.weight", &tensor);
    written(&writer)
}

/// The bytes of a file.
pub fn written(writer: &GgufWriter<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).expect("a Vec takes everything");
    bytes
}

fn shard(names: &[&str]) -> Vec<u8> {
    let tensor = Tensor::from_f32([2, 2], &[1.0, 2.0, 3.0, 4.0]).expect("fits");
    let tensors: Vec<_> = names.iter().map(|name| (*name, &tensor)).collect();
    let mut bytes = Vec::new();
    write_safetensors_to(&mut bytes, &tensors).expect("a Vec takes everything");
    bytes
}

fn safetensors_of_integers() -> Vec<u8> {
    let header = br#"{"__metadata__":{"format":"pt"},"ids":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]},"x":{"dtype":"BF16","shape":[2,1],"data_offsets":[16,20]},"y":{"dtype":"U8","shape":[],"data_offsets":[20,21]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([1; 21]);
    bytes
}

fn safetensors_index() -> Vec<u8> {
    br#"{"metadata":{"total_size":48},"weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"}}"#.to_vec()
}
