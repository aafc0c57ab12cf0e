//! The model that learns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_core::graph::WeightId;
use edgeformer_core::{Adapter, Format, Model, Op, Tensor, Weight};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::{ModelFile, OpenOptions, open, open_with};

use super::request::{Method, Request};
use crate::parameters::{Learning, Parameter, make_parameters};
use crate::trainer::Dropouts;
use crate::{Error, Result};

/// A model, its weights on the device, and those that learn.
pub(super) struct Base {
    pub subject: Subject,
    pub weights: DeviceWeights,
    pub parameters: Vec<Parameter>,
    pub dropouts: Dropouts,
}

/// What learns, as files and as a graph.
pub(super) struct Subject {
    /// As it was opened: tokenizer, template, family.
    pub file: ModelFile,
    /// What is differentiated: the file's, or one with an adapter.
    pub model: Arc<Model>,
    /// The adapter before it learns.
    pub adapter: Option<Adapter>,
    /// A copy in GGUF's layout that was made for this run alone.
    _copy: Option<Copy>,
}

/// A file that goes when it is not needed any more.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // It is in the run's own folder, where it bothers nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Base {
    /// Opens the model of a request and makes variables of what learns.
    pub fn open(request: &Request) -> Result<Self> {
        match &request.method {
            Method::Lora(options) => {
                let file = open(&request.model)?;
                let adapter = options.new_adapter(&file.model.graph, request.seed)?;
                let base = match request.base_format {
                    Some(format) => Arc::new(quantized(&file.model, format)?),
                    None => file.model.clone(),
                };
                let model = Arc::new(base.with_adapter(&adapter)?);
                let learning = Learning::Named(names(&adapter).collect());
                let dropped = matrices(&model, &adapter);
                let dropouts = Dropouts::new(dropped, options.dropout, request.seed);
                let subject = Subject { file, model, adapter: Some(adapter), _copy: None };
                Self::with(subject, &learning, dropouts)
            }
            method => {
                let (path, copy) = in_gguf(&request.model, &request.output)?;
                let mut file = open_with(&path, &OpenOptions { tokenizer: copy.is_none() })?;
                if copy.is_some() {
                    // The tokenizer of the original: a copy may not be able to state it.
                    let original = open(&request.model)?;
                    file.tokenizer = original.tokenizer;
                    file.chat_template = original.chat_template;
                }
                let learning = match method {
                    Method::LastBlocks(count) => Learning::LastBlocks(*count),
                    Method::Head => Learning::Head,
                    Method::Full | Method::Lora(_) => Learning::All,
                };
                let linear = linear_layers(&file.model);
                let dropouts = Dropouts::new(linear.clone(), request.dropout, request.seed);
                let model = file.model.clone();
                let subject = Subject { file, model, adapter: None, _copy: copy };
                let mut base = Self::with(subject, &learning, dropouts)?;
                if let Some(format) = request.quantize_aware {
                    base.round(&linear, format)?;
                }
                Ok(base)
            }
        }
    }

    /// Lets products see these matrices as a format would hold them.
    fn round(&mut self, matrices: &[WeightId], format: Format) -> Result<()> {
        let rounded = matrices.iter().filter(|&&id| self.weights.set_rounding(id, format));
        if rounded.count() == 0 {
            let name = format.name();
            let problem = format!("no matrix can be rounded to {name}: rows are no whole blocks");
            return Err(Error::Request(problem));
        }
        Ok(())
    }

    fn with(subject: Subject, learning: &Learning, dropouts: Dropouts) -> Result<Self> {
        let mut weights = DeviceWeights::load(&subject.model, &Device::Cpu)?;
        let parameters = make_parameters(&subject.model.graph, &mut weights, learning)?;
        Ok(Self { subject, weights, parameters, dropouts })
    }
}

/// The file of a model in GGUF's layout: itself, or a copy in the run's folder.
fn in_gguf(model: &Path, output: &Path) -> Result<(PathBuf, Option<Copy>)> {
    if !model.is_dir() {
        return Ok((model.to_owned(), None));
    }
    let copy = output.join(".base.gguf");
    Checkpoint::open(model)?.write_gguf(&copy)?;
    Ok((copy.clone(), Some(Copy(copy))))
}

/// The matrices of linear layers, but for that which gives the output: it is kept more precisely
/// where a model is quantized.
fn linear_layers(model: &Model) -> Vec<WeightId> {
    let graph = &model.graph;
    let layers = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Linear { weight, .. } if !is_output(&graph.weight(weight).name) => Some(weight),
        _ => None,
    });
    layers.collect()
}

fn is_output(name: &str) -> bool {
    matches!(name, "output.weight" | "token_embd.weight")
}

/// The names that an adapter's matrices have in a graph.
fn names(adapter: &Adapter) -> impl Iterator<Item = String> {
    adapter.pairs.keys().flat_map(|name| [format!("{name}.lora_a"), format!("{name}.lora_b")])
}

/// The first matrices of an adapter.
fn matrices(model: &Model, adapter: &Adapter) -> Vec<WeightId> {
    let id = |name: &String| model.graph.weight_id(&format!("{name}.lora_a"));
    adapter.pairs.keys().filter_map(id).collect()
}

/// The same model with the float matrices of its linear layers in blocks, where rows are whole
/// blocks.
fn quantized(model: &Model, format: Format) -> Result<Model> {
    let mut made = model.clone();
    for node in &model.graph.nodes {
        let Op::Linear { weight, .. } = node.op else { continue };
        let name = &model.graph.weight(weight).name;
        let found = model.weights.get(name)?;
        let fits = |part: &Tensor| {
            part.format().is_float() && part.row_len().is_multiple_of(format.block_len())
        };
        if !found.parts().iter().all(fits) {
            continue;
        }
        let quantize = |part: &Tensor| Tensor::quantize(format, part.shape(), &part.to_f32());
        let parts = found.parts().iter().map(quantize).collect::<Result<Vec<_>, _>>()?;
        made.weights.insert(name, Weight::concatenated(name, parts)?);
    }
    Ok(made)
}

/// A model that is learned from.
pub(super) fn teacher(path: &Path) -> Result<crate::Teacher> {
    let file = open_with(path, &OpenOptions { tokenizer: false })?;
    let weights = DeviceWeights::load(&file.model, &Device::Cpu)?;
    Ok(crate::Teacher { graph: file.model.graph.clone(), weights })
}

/// The tokens that a model takes, where it continues text.
pub(super) fn check_decoder(file: &ModelFile, path: &Path) -> Result<()> {
    let graph = &file.model.graph;
    if graph.is_decoder() && file.tokenizer.is_some() {
        return Ok(());
    }
    let problem = match graph.is_decoder() {
        true => "the model has no tokenizer to read records with".to_owned(),
        false => {
            format!("a {} model continues no text: records of text cannot teach it", graph.name)
        }
    };
    Err(Error::file(path, problem))
}
