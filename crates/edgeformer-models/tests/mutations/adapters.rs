//! Low-rank adapters: folders of `peft`, one of their files damaged at a time, and GGUF files.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use edgeformer_core::{Adapter, LowRank, Tensor};
use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_gguf, write_peft};
use edgeformer_models::{ModelFile, OpenOptions, open_gguf_bytes};
use tempfile::TempDir;

use crate::models::llama;
use crate::targets::Target;

/// What rows that are moved, names and a message may take.
const SLACK: usize = 64 << 10;

pub fn targets() -> Vec<Target> {
    let options = OpenOptions { tokenizer: false };
    let file = open_gguf_bytes("model.gguf", Bytes::from(llama()), &options).expect("valid");
    let file = Arc::new(file);
    vec![
        folder_file(&file, "adapter_config.json", 5_000),
        folder_file(&file, "adapter_model.safetensors", 10_000),
        gguf_file(&file),
    ]
}

/// An adapter of every linear layer, of the ranks 2 and 3.
fn adapter(file: &ModelFile) -> Adapter {
    let graph = &file.model.graph;
    let names = ["attn_q", "attn_k", "attn_output", "ffn_down"];
    let pair = |(index, name): (usize, &str)| {
        let name = format!("blk.0.{name}.weight");
        let shape = &graph.weight(graph.weight_id(&name).expect("a llama has it")).shape;
        let (rank, scale) = (2 + index % 2, if index == 1 { 0.5 } else { 2.0 });
        let matrix = |shape: [usize; 2]| {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|i| i as f32 / 8.0).collect();
            Tensor::from_f32(shape, &values).expect("fits")
        };
        let pair = LowRank { a: matrix([rank, shape[1]]), b: matrix([shape[0], rank]), scale };
        (name, pair)
    };
    let pairs = names.into_iter().enumerate().map(pair).collect::<BTreeMap<_, _>>();
    Adapter { name: "adapter".into(), pairs, backings: Vec::new() }
}

/// One file of a folder, damaged, the other as it was.
fn folder_file(file: &Arc<ModelFile>, name: &str, mutations: usize) -> Target {
    let temporary = TempDir::new().expect("a temporary folder");
    let folder = temporary.path().join("adapter");
    write_peft(&adapter(file), file, &folder, &PeftOptions::default()).expect("written");
    let (damaged, file) = (folder.join(name), file.clone());
    Target {
        name: format!("{name} of an adapter"),
        seeds: vec![fs::read(&damaged).expect("written")],
        read: Box::new(move |bytes| {
            let _kept = &temporary;
            fs::write(&damaged, bytes).expect("written");
            read(&folder, &file)
        }),
        mutations,
        slack: SLACK,
    }
}

fn gguf_file(file: &Arc<ModelFile>) -> Target {
    let temporary = TempDir::new().expect("a temporary folder");
    let path = temporary.path().join("adapter.gguf");
    write_gguf(&adapter(file), file, &path).expect("written");
    let file = file.clone();
    Target {
        name: "adapter in gguf".into(),
        seeds: vec![fs::read(&path).expect("written")],
        read: Box::new(move |bytes| {
            let _kept = &temporary;
            fs::write(&path, bytes).expect("written");
            read(&path, &file)
        }),
        mutations: 10_000,
        slack: SLACK,
    }
}

/// Reads an adapter up to the graph that has it.
fn read(path: &std::path::Path, file: &ModelFile) -> edgeformer_models::Result<()> {
    let adapter = AdapterFile::open(path)?.for_model(file)?;
    file.model
        .with_adapter(&adapter)
        .map(drop)
        .map_err(|source| edgeformer_models::Error::Core { path: path.into(), source })
}
