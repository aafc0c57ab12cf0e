//! The weights of a graph from a Hugging Face folder.

use std::collections::HashSet;
use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Graph, Tensor, Weight, Weights};

use super::names::{Names, names};
use crate::error::quote;
use crate::hyper::{Family, Hyper};
use crate::safetensors::Safetensors;
use crate::{Error, Result};

/// Whether a folder's tensors reach the last layer that its configuration states, before a graph
/// of that many layers is built.
pub(crate) fn check_depth(hyper: &Hyper, files: &Safetensors) -> Result<()> {
    let first_norm = match hyper {
        Hyper::Decoder(_) => "blk.N.attn_norm.weight",
        Hyper::Encoder(_) => "blk.N.attn_output_norm.weight",
        Hyper::Vision(_) => "v.blk.N.ln1.weight",
    };
    let last = (hyper.layers() - 1).to_string();
    let mut reader = Reader::new(hyper.family(), files);
    let name = reader.name(&first_norm.replace('N', &last))?;
    reader.tensor(&name).map(|_| ())
}

/// Every weight that `graph` names, in its shape, and nothing in the files left over.
///
/// # Errors
/// The first tensor that is missing, left over, or of another shape.
pub(crate) fn weights(graph: &Graph, hyper: &Hyper, files: &Safetensors) -> Result<Weights> {
    let mut reader = Reader::new(hyper.family(), files);
    let mut weights = Weights::default();
    for info in &graph.weights {
        weights.insert(&info.name, reader.weight(info)?);
    }
    reader.refuse_extra(hyper)?;
    files.files().for_each(|file| weights.add_backing(Arc::new(file.clone())));
    Ok(weights)
}

/// Finds the weights of a graph among the tensors of a folder.
pub(crate) struct Reader<'a> {
    family: Family,
    names: Names,
    prefix: &'static str,
    files: &'a Safetensors,
    used: HashSet<String>,
}

impl<'a> Reader<'a> {
    /// A reader that has found nothing yet.
    pub fn new(family: Family, files: &'a Safetensors) -> Self {
        let names = names(family);
        let (first, _) = names.table[0];
        let holds = |prefix: &&&str| {
            let name = names.of(&format!("{first}.weight"), prefix);
            name.is_some_and(|name| files.info(&name).is_some())
        };
        let prefix = names.prefixes.iter().find(holds).unwrap_or(&names.prefixes[0]);
        Self { family, prefix, names, files, used: HashSet::new() }
    }

    /// What the files call a weight of the graph.
    fn name(&self, graph_name: &str) -> Result<String> {
        self.names.of(graph_name, self.prefix).ok_or_else(|| {
            let problem = format!("has no name in {} checkpoints", self.family.name());
            Error::format(self.files.path(), format!("weight {}", quote(graph_name)), problem)
        })
    }

    /// Whether the files hold a weight.
    pub fn has(&self, info: &WeightInfo) -> bool {
        self.name(&info.name).is_ok_and(|name| self.files.info(&name).is_some())
    }

    /// A weight in the graph's shape.
    ///
    /// # Errors
    /// If it is missing, of a type that is not read, or of another shape.
    pub fn weight(&mut self, info: &WeightInfo) -> Result<Weight> {
        let found = self.found(info)?;
        match (self.is_transposed(info), found.parts()) {
            (true, [tensor]) => {
                transpose(tensor).map(Weight::whole).map_err(|error| self.core(error))
            }
            _ => Ok(found),
        }
    }

    /// A weight as the files hold it: nothing is copied, and rows and columns of the family's
    /// transposed weights are still exchanged.
    ///
    /// # Errors
    /// As [`Reader::weight`].
    pub fn found(&mut self, info: &WeightInfo) -> Result<Weight> {
        let name = self.name(&info.name)?;
        let weight = if name.contains(".E.") {
            self.experts(info, &name)?
        } else {
            Weight::whole(self.shaped(info, &name)?)
        };
        let mut needed = info.shape.clone();
        if self.is_transposed(info) {
            needed.reverse();
        }
        if weight.shape() == needed {
            return Ok(weight);
        }
        Err(self.wrong_shape(&name, weight.shape(), &needed))
    }

    fn is_transposed(&self, info: &WeightInfo) -> bool {
        Names::listed(self.names.transposed, &info.name)
    }

    /// One tensor, in the graph's shape where the family holds the same numbers in another.
    fn shaped(&mut self, info: &WeightInfo, name: &str) -> Result<Tensor> {
        let tensor = self.tensor(name)?;
        let elements = info.shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
        if Names::listed(self.names.reshaped, &info.name) && elements == Some(tensor.elements()) {
            return tensor.reshape(info.shape.clone()).map_err(|error| self.core(error));
        }
        Ok(tensor)
    }

    /// Experts that stand apart, a tensor each, or fused into one as newer files may have them.
    fn experts(&mut self, info: &WeightInfo, name: &str) -> Result<Weight> {
        let count = info.shape[0];
        let of = |expert: usize| name.replacen(".E.", &format!(".{expert}."), 1);
        if self.files.info(&of(0)).is_none()
            && let Some(fused) = self.fused_experts(info, name)?
        {
            return Ok(fused);
        }
        let parts = (0..count).map(|expert| self.tensor(&of(expert))).collect::<Result<_>>()?;
        Weight::stacked(&info.name, parts).map_err(|error| self.core(error))
    }

    /// `experts.gate_up_proj` `[count, 2 * width, d]` (the gate first) or `experts.down_proj`.
    fn fused_experts(&mut self, info: &WeightInfo, name: &str) -> Result<Option<Weight>> {
        let stem = name.replacen(".E.", ".", 1).replace(".weight", "");
        let fused_stem =
            stem.replace(".gate_proj", ".gate_up_proj").replace(".up_proj", ".gate_up_proj");
        if self.files.info(&fused_stem).is_none() {
            return Ok(None);
        }
        let fused = self.tensor(&fused_stem)?;
        let &[count, rows, columns] = info.shape.as_slice() else { return Ok(None) };
        let parts = if fused_stem == stem { 1 } else { 2 };
        if fused.shape() != [count, parts * rows, columns] {
            let needed = [count, parts * rows, columns];
            return Err(self.wrong_shape(&fused_stem, fused.shape(), &needed));
        }
        let part = usize::from(stem.ends_with(".up_proj"));
        let bytes = fused.bytes().len() / (count * parts);
        let expert = |expert: usize| {
            let start = (expert * parts + part) * bytes;
            Tensor::new(fused.format(), [rows, columns], fused.bytes().slice(start..start + bytes))
        };
        let tensors = (0..count).map(expert).collect::<edgeformer_core::Result<_>>();
        let stacked = tensors.and_then(|tensors| Weight::stacked(&info.name, tensors));
        stacked.map(Some).map_err(|error| self.core(error))
    }

    /// A tensor by the name that files use today, or by the one that the first BERTs have.
    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let older = name
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        let name = if self.files.info(name).is_some() { name } else { &older };
        let place = || format!("tensor {}", quote(name));
        let Some(info) = self.files.info(name) else {
            let problem = format!(
                "is missing: {} models need it; compare config.json with the tensors",
                self.family.name()
            );
            return Err(Error::format(self.files.path(), place(), problem));
        };
        let tensor = self.files.tensor(name).ok_or_else(|| {
            let problem = format!("is {}: weights must be F32, F16 or BF16", info.dtype.name());
            Error::format(self.files.path(), place(), problem)
        })?;
        self.used.insert(name.to_owned());
        Ok(tensor)
    }

    /// Whether tensors are left that were not asked for.
    ///
    /// # Errors
    /// The first of them.
    pub fn refuse_extra(&self, hyper: &Hyper) -> Result<()> {
        let extra = self.files.names().find(|name| {
            !self.used.contains(*name) && !self.names.ignores(name) && !is_spare(hyper, name)
        });
        let Some(name) = extra else { return Ok(()) };
        let problem = format!(
            "is left over: {} models with this config.json do not have it",
            self.family.name()
        );
        Err(Error::format(self.files.path(), format!("tensor {}", quote(name)), problem))
    }

    fn wrong_shape(&self, name: &str, found: &[usize], needed: &[usize]) -> Error {
        let problem =
            format!("has shape {found:?}, config.json makes it {needed:?}: one of them is wrong");
        Error::format(self.files.path(), format!("tensor {}", quote(name)), problem)
    }

    fn core(&self, source: edgeformer_core::Error) -> Error {
        Error::Core { path: self.files.path().into(), source }
    }
}

/// Whether a tensor is a copy of tied embeddings, or of the layer behind the last that DeepSeek-V3
/// predicts a further token with.
fn is_spare(hyper: &Hyper, name: &str) -> bool {
    let Hyper::Decoder(decoder) = hyper else { return false };
    let tied_head = decoder.tied && name.ends_with("lm_head.weight");
    let further = format!("model.layers.{}.", decoder.layers);
    tied_head || (decoder.family == Family::DeepseekV3 && name.starts_with(&further))
}

/// A float matrix with rows and columns exchanged, bit for bit. This one copy is made when the file is opened: every
/// backend multiplies with rows of `[out, in]`.
pub(crate) fn transpose(tensor: &Tensor) -> edgeformer_core::Result<Tensor> {
    let &[rows, columns] = tensor.shape() else { return Ok(tensor.clone()) };
    let size = tensor.format().block_bytes();
    let bytes = tensor.bytes();
    let mut turned = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            turned.extend_from_slice(&bytes[at..at + size]);
        }
    }
    Tensor::new(tensor.format(), [columns, rows], turned.into())
}
