//! Weights under their Hugging Face names, in their layout, made one at a time.

use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Format, Graph, Tensor};

use crate::checkpoint::dtypes::Dtypes;
use crate::checkpoint::moves::{Move, join_up};
use crate::checkpoint::outtype::converted;
use crate::checkpoint::{Checkpoint, LazyTensor};
use crate::error::quote;
use crate::hf_config::{Names, names, transpose};
use crate::hyper::{Encoder, Family, Hyper, Latent, Vision};
use crate::{Error, Result};

/// Every tensor of the folder. Those whose format shows only in their values are made now.
pub(super) fn tensors(
    checkpoint: &Checkpoint,
    graph: &Graph,
    hyper: &Hyper,
    dtypes: Dtypes,
) -> Result<Vec<LazyTensor>> {
    let (names, dtypes) = (names(hyper.family()), Arc::new(dtypes));
    let mut tensors = Vec::with_capacity(graph.weights.len());
    for info in &graph.weights {
        let name = names.of(&info.name, prefix(hyper, &names)).ok_or_else(|| {
            let place = format!("weight {}", quote(&info.name));
            Error::format(checkpoint.path(), place, "has no name in Hugging Face's folders")
        })?;
        let origin = Origin::of(checkpoint, info, hyper)?;
        let experts = if name.contains(".E.") { info.shape[0] } else { 1 };
        for expert in 0..experts {
            let shape =
                if experts > 1 || name.contains(".E.") { &info.shape[1..] } else { &info.shape };
            let weight = Weight {
                origin: origin.clone(),
                info: info.name.clone(),
                part: (expert, experts),
                shape: shape.to_vec(),
                moved: Move::of(hyper, &info.name),
                transposed: Names::listed(names.transposed, &info.name),
                dtypes: dtypes.clone(),
                path: checkpoint.path().into(),
            };
            let name = name.replacen(".E.", &format!(".{expert}."), 1);
            tensors.push(weight.lazy(name, &hf_shape(hyper, &info.name, shape))?);
        }
    }
    checkpoint.release();
    Ok(tensors)
}

/// The bare BERT and ViT have no prefix: only in a classifier they are a part.
pub(crate) fn prefix(hyper: &Hyper, names: &Names) -> &'static str {
    match hyper {
        Hyper::Vision(Vision { classes: None, .. }) => "",
        Hyper::Encoder(Encoder { classes: Some(_), .. }) => "bert.",
        _ => names.prefixes[0],
    }
}

/// The shape in the folder, where it is another than the graph's.
fn hf_shape(hyper: &Hyper, name: &str, shape: &[usize]) -> Vec<usize> {
    match (hyper, name) {
        (Hyper::Vision(vision), "v.patch_embd.weight") => {
            vec![vision.width, vision.channels, vision.patch[0], vision.patch[1]]
        }
        (Hyper::Vision(_), "v.class_embd" | "v.position_embd.weight") => [&[1], shape].concat(),
        (Hyper::Decoder(decoder), _)
            if decoder.family == Family::Gpt2
                && Names::listed(names(Family::Gpt2).transposed, name) =>
        {
            shape.iter().rev().copied().collect()
        }
        _ => shape.to_vec(),
    }
}

/// The tensors that a weight is made of.
#[derive(Clone)]
enum Origin {
    One(LazyTensor),
    /// An up-projection in two halves: keys and values.
    Halves([LazyTensor; 2], Latent),
}

impl Origin {
    fn of(checkpoint: &Checkpoint, info: &WeightInfo, hyper: &Hyper) -> Result<Self> {
        let latent = match hyper {
            Hyper::Decoder(decoder) => decoder.latent,
            _ => None,
        };
        if let Some(whole) = checkpoint.tensor(&info.name) {
            let shape = whole.shape();
            if shape == info.shape {
                return Ok(Self::One(whole.clone()));
            }
            return Err(wrong_shape(checkpoint, whole, &info.shape));
        }
        let half = |name: &str| checkpoint.tensor(&info.name.replace("attn_kv_b", name));
        match (latent, half("attn_k_b"), half("attn_v_b")) {
            (Some(latent), Some(key), Some(value)) if info.name.contains("attn_kv_b") => {
                Self::halves(checkpoint, info, [key, value], latent)
            }
            _ => {
                let place = format!("tensor {}", quote(&info.name));
                let problem = "is missing: fetch or convert the file again";
                Err(Error::format(checkpoint.path(), place, problem))
            }
        }
    }

    fn halves(
        checkpoint: &Checkpoint,
        info: &WeightInfo,
        [key, value]: [&LazyTensor; 2],
        latent: Latent,
    ) -> Result<Self> {
        let heads = info.shape[0] / (latent.nope_dim + latent.value_dim);
        let shapes =
            [[heads, latent.rank, latent.nope_dim], [heads, latent.value_dim, latent.rank]];
        for (half, shape) in [key, value].into_iter().zip(shapes) {
            if half.shape() != shape {
                return Err(wrong_shape(checkpoint, half, &shape));
            }
        }
        Ok(Self::Halves([key.clone(), value.clone()], latent))
    }

    /// The format that the file has it in.
    fn format(&self) -> Format {
        match self {
            Self::One(tensor) | Self::Halves([tensor, _], _) => tensor.format(),
        }
    }
}

fn wrong_shape(checkpoint: &Checkpoint, tensor: &LazyTensor, needed: &[usize]) -> Error {
    let problem = format!(
        "has shape {:?}, the metadata make it {needed:?}: convert the model again",
        tensor.shape()
    );
    Error::format(checkpoint.path(), format!("tensor {}", quote(tensor.name())), problem)
}

/// One tensor of the folder.
struct Weight {
    origin: Origin,
    /// The weight of the graph that it is, or is a part of.
    info: String,
    /// Which expert, of how many.
    part: (usize, usize),
    /// Its shape in the graph.
    shape: Vec<usize>,
    moved: Move,
    transposed: bool,
    dtypes: Arc<Dtypes>,
    path: std::path::PathBuf,
}

impl Weight {
    fn lazy(self, name: String, shape: &[usize]) -> Result<LazyTensor> {
        let shape = shape.to_vec();
        let format = match self.dtypes.known(&self.info, self.moved.format(self.origin.format())) {
            Some(format) => format,
            None => self.make(&shape)?.format(),
        };
        Ok(LazyTensor::new(name, format, shape.clone(), move || self.make(&shape)))
    }

    fn make(&self, shape: &[usize]) -> Result<Tensor> {
        let core = |source| Error::Core { path: self.path.clone(), source };
        let moved = self.moved.to_hf(self.plain()?).map_err(core)?;
        let turned = if self.transposed { transpose(&moved).map_err(core)? } else { moved };
        let shaped = turned.reshape(shape).map_err(core)?;
        self.dtypes.restored(&self.info, shaped)
    }

    /// The part of the file's tensor, dequantized.
    fn plain(&self) -> Result<Tensor> {
        let float = |tensor: &Tensor| {
            converted(tensor, self.dtypes.plain(tensor.format()))
                .map_err(|problem| Error::Text(format!("tensor {:?}: {problem}", self.info)))
        };
        let core = |source| Error::Core { path: self.path.clone(), source };
        match &self.origin {
            Origin::One(tensor) => float(&self.part_of(&tensor.load()?).map_err(core)?),
            Origin::Halves([key, value], latent) => {
                let (key, value) = (float(&key.load()?)?, float(&value.load()?)?);
                let key = converted(&key, value.format()).unwrap_or(key);
                join_up(&key, &value, latent).map_err(core)
            }
        }
    }

    /// One expert of a stack.
    fn part_of(&self, tensor: &Tensor) -> edgeformer_core::Result<Tensor> {
        let (part, parts) = self.part;
        let size = tensor.bytes().len() / parts;
        let bytes = tensor.bytes().slice(part * size..(part + 1) * size);
        Tensor::new(tensor.format(), self.shape.clone(), bytes)
    }
}
