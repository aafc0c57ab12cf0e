//! Small Hugging Face folders on disk.

use std::fs;
use std::path::Path;

use edgeformer_core::Tensor;
use edgeformer_core::graph::WeightInfo;
use serde_json::Value;
use tempfile::TempDir;

use super::super::names::{Names, names};
use super::configs;
use crate::families;
use crate::safetensors::write_safetensors;

/// A folder with a configuration and the weights of its graph, as checkpoints hold them.
pub(crate) struct Folder {
    folder: TempDir,
    tensors: Vec<(String, Tensor)>,
}

impl Folder {
    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self { folder: TempDir::new().unwrap(), tensors: Vec::new() }
    }

    /// A folder of a model.
    pub fn of(config: &Value) -> Self {
        let hyper = configs::hyper(config).unwrap();
        let names = names(hyper.family());
        let graph = families::graph(&hyper).unwrap();
        let tensors = graph.weights.iter().flat_map(|info| checkpoint(&names, info)).collect();
        Self { tensors, ..Self::empty() }.config(config).saved()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(self, config: &Value) -> Self {
        self.file("config.json", &config.to_string())
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Adds or replaces a tensor.
    pub fn tensor(mut self, name: &str, tensor: Tensor) -> Self {
        self.tensors.retain(|(known, _)| known != name);
        self.tensors.push((name.into(), tensor));
        self.saved()
    }

    pub fn without(mut self, name: &str) -> Self {
        self.tensors.retain(|(known, _)| known != name);
        self.saved()
    }

    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        self.tensors.iter_mut().for_each(|(name, _)| *name = name.replace(from, to));
        self.saved()
    }

    pub fn prefixed(mut self, prefix: &str) -> Self {
        self.tensors.iter_mut().for_each(|(name, _)| name.insert_str(0, prefix));
        self.saved()
    }

    /// The experts of layer 1 as one `gate_up_proj` and one `down_proj`.
    pub fn with_fused_experts(mut self) -> Self {
        let stem = "model.layers.1.mlp.experts.";
        let take = |tensors: &[(String, Tensor)], ending: String| -> Vec<f32> {
            let name = format!("{stem}{ending}.weight");
            tensors.iter().find(|(known, _)| *known == name).unwrap().1.to_f32()
        };
        let (mut gate_up, mut down) = (Vec::new(), Vec::new());
        for expert in 0..4 {
            gate_up.extend(take(&self.tensors, format!("{expert}.gate_proj")));
            gate_up.extend(take(&self.tensors, format!("{expert}.up_proj")));
            down.extend(take(&self.tensors, format!("{expert}.down_proj")));
        }
        self.tensors.retain(|(name, _)| !name.starts_with(stem));
        let gate_up = Tensor::from_f32([4, 48, 32], &gate_up).unwrap();
        let down = Tensor::from_f32([4, 32, 24], &down).unwrap();
        self.tensor(&format!("{stem}gate_up_proj"), gate_up)
            .tensor(&format!("{stem}down_proj"), down)
    }

    fn saved(self) -> Self {
        let tensors: Vec<(&str, &Tensor)> =
            self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        write_safetensors(&self.path().join("model.safetensors"), &tensors).unwrap();
        self
    }
}

/// Numbers for a weight of a graph: different in every place, and from weight to weight.
pub(crate) fn values(info: &WeightInfo) -> Vec<f32> {
    let count: usize = info.shape.iter().product();
    let seed = info.name.bytes().fold(7u32, |seed, byte| seed.wrapping_mul(31) + u32::from(byte));
    (0..count).map(|index| (seed % 1000) as f32 + index as f32).collect()
}

/// A weight as a checkpoint holds it: experts apart, `Conv1D` transposed, a class token in a batch.
fn checkpoint(names: &Names, info: &WeightInfo) -> Vec<(String, Tensor)> {
    let name = names.of(&info.name, names.prefixes[0]).unwrap();
    let values = values(info);
    if name.contains(".E.") {
        let each = values.len() / info.shape[0];
        let expert = |(index, part): (usize, &[f32])| {
            let name = name.replacen(".E.", &format!(".{index}."), 1);
            (name, Tensor::from_f32(&info.shape[1..], part).unwrap())
        };
        return values.chunks(each).enumerate().map(expert).collect();
    }
    if Names::listed(names.transposed, &info.name) {
        let (rows, columns) = (info.shape[0], info.shape[1]);
        let turned: Vec<f32> = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| (row, column)))
            .map(|(row, column)| values[row * columns + column])
            .collect();
        return vec![(name, Tensor::from_f32([columns, rows], &turned).unwrap())];
    }
    let shape: Vec<usize> = match name.as_str() {
        "vit.embeddings.patch_embeddings.projection.weight" => vec![32, 3, 8, 8],
        "vit.embeddings.cls_token" | "vit.embeddings.position_embeddings" => {
            std::iter::once(1).chain(info.shape.iter().copied()).collect()
        }
        _ => info.shape.clone(),
    };
    vec![(name, Tensor::from_f32(shape, &values).unwrap())]
}
