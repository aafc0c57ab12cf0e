//! The model that learns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_core::graph::WeightId;
use edgeformer_core::{Adapter, Format, Model, Op, Tensor, Weight};
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::classifier::Classifier;
use edgeformer_models::{ModelFile, OpenOptions, open, open_with};

use super::head::new_classifier;
use super::labelled::Judge;
use super::low_rank::{LoraOptions, all_linear};
use super::request::{Method, Request};
use crate::parameters::{Learning, Parameter, make_variables, weights_of};
use crate::trainer::Dropouts;
use crate::{Error, Result};

/// Weights on the device, and those that learn.
pub(super) struct Base {
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
    /// A classifier that the model's files do not have.
    pub classifier: Option<Classifier>,
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

/// What a request wants of a model's weights.
#[derive(Debug, Clone, Default)]
pub(super) struct Intent {
    /// Those that learn.
    pub learning: Vec<WeightId>,
    /// Those with which products leave inputs out, and the share of these.
    pub dropped: Vec<WeightId>,
    pub rate: f32,
    /// Those that products see in another format.
    pub rounded: Vec<WeightId>,
}

impl Subject {
    /// Opens the model of a request: what learns of it, and as which graph.
    pub fn open(request: &Request) -> Result<(Self, Intent)> {
        match &request.method {
            Method::Lora(options) => {
                let file = open(&request.model)?;
                check(&file, &request.model)?;
                let (model, adapter, intent) =
                    adapted(&file.model, options, request.base_format, request.seed)?;
                let adapter = Some(adapter);
                let model = Arc::new(model);
                Ok((Self { file, model, adapter, classifier: None, _copy: None }, intent))
            }
            method => {
                let (path, copy) = in_gguf(&request.model, &request.output)?;
                let mut file = open_with(&path, &OpenOptions { tokenizer: copy.is_none() })?;
                let classifier;
                if copy.is_some() {
                    // The tokenizer of the original: a copy may not be able to state it. A pooler
                    // that only a classifier reads is not in the copy either.
                    let original = open(&request.model)?;
                    classifier = new_classifier(request, &original)?;
                    file.tokenizer = original.tokenizer;
                    file.chat_template = original.chat_template;
                    file.labels = original.labels;
                    file.preprocessor = original.preprocessor;
                } else {
                    classifier = new_classifier(request, &file)?;
                }
                if let Some(classifier) = &classifier {
                    file = classifier.on(file)?;
                }
                check(&file, &request.model)?;
                let intent = of_weights(request, method, &file.model)?;
                let model = file.model.clone();
                Ok((Self { file, model, adapter: None, classifier, _copy: copy }, intent))
            }
        }
    }
}

/// A model with a new adapter beside its weights, which are quantized if so asked.
pub(super) fn adapted(
    model: &Model,
    options: &LoraOptions,
    format: Option<Format>,
    seed: u64,
) -> Result<(Model, Adapter, Intent)> {
    let adapter = options.new_adapter(&model.graph, seed)?;
    let adapted = match format {
        Some(format) => quantized(model, format)?.with_adapter(&adapter)?,
        None => model.with_adapter(&adapter)?,
    };
    let learning = Learning::Named(names(&adapter).collect());
    let intent = Intent {
        learning: weights_of(&adapted.graph, &learning)?,
        dropped: matrices(&adapted, &adapter),
        rate: options.dropout,
        rounded: Vec::new(),
    };
    Ok((adapted, adapter, intent))
}

/// The model of a request as it will learn, with the classifier that is asked for: nothing is
/// copied or written.
///
/// # Errors
/// If its files are damaged, or nothing can teach it.
pub(super) fn opened(request: &Request) -> Result<ModelFile> {
    let mut file = open(&request.model)?;
    if let Some(classifier) = new_classifier(request, &file)? {
        file = classifier.on(file)?;
    }
    check(&file, &request.model)?;
    Ok(file)
}

/// What a request makes of a model, and wants of its weights.
pub(super) fn intended(request: &Request, file: &ModelFile) -> Result<(Arc<Model>, Intent)> {
    match &request.method {
        Method::Lora(options) => {
            let (model, _, intent) =
                adapted(&file.model, options, request.base_format, request.seed)?;
            Ok((Arc::new(model), intent))
        }
        method => Ok((file.model.clone(), of_weights(request, method, &file.model)?)),
    }
}

fn of_weights(request: &Request, method: &Method, model: &Model) -> Result<Intent> {
    let learning = match method {
        Method::LastBlocks(count) => Learning::LastBlocks(*count),
        Method::Head => Learning::Head,
        Method::Full | Method::Lora(_) => Learning::All,
    };
    let dropped: Vec<WeightId> = all_linear(&model.graph).collect();
    let fits = |id: &&WeightId| {
        let columns = model.graph.weight(**id).shape.last().copied().unwrap_or(0);
        request.quantize_aware.is_some_and(|format| columns.is_multiple_of(format.block_len()))
    };
    let rounded: Vec<WeightId> = dropped.iter().filter(fits).copied().collect();
    if let Some(format) = request.quantize_aware.filter(|_| rounded.is_empty()) {
        let name = format.name();
        let problem = format!("no matrix can be rounded to {name}: rows are no whole blocks");
        return Err(Error::Request(problem));
    }
    let learning = weights_of(&model.graph, &learning)?;
    let dropped = if request.dropout > 0.0 { dropped } else { Vec::new() };
    Ok(Intent { learning, dropped, rate: request.dropout, rounded })
}

impl Base {
    /// Loads the weights of a model, and makes variables of those that learn.
    pub fn load(request: &Request, subject: &Subject, intent: &Intent) -> Result<Self> {
        let mut weights = DeviceWeights::load(&subject.model, &Device::Cpu)?;
        let parameters = make_variables(&subject.model.graph, &mut weights, &intent.learning)?;
        if let Some(format) = request.quantize_aware {
            intent.rounded.iter().for_each(|&id| _ = weights.set_rounding(id, format));
        }
        let dropouts = Dropouts::new(intent.dropped.clone(), intent.rate, request.seed);
        Ok(Self { weights, parameters, dropouts })
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

/// Whether a model can be taught: it continues text, or it gives scores of classes or a value.
fn check(file: &ModelFile, path: &Path) -> Result<()> {
    let graph = &file.model.graph;
    if Judge::of(file).is_some() || (graph.is_decoder() && file.tokenizer.is_some()) {
        return Ok(());
    }
    let problem = match graph.is_decoder() {
        true => "the model has no tokenizer to read records with".to_owned(),
        false => {
            let name = &graph.name;
            let remedy = match graph.vocabulary() {
                0 => "nothing can teach it",
                _ => "give it a new classifier to learn (--num-labels)",
            };
            format!("a {name} model continues no text and tells no classes: {remedy}")
        }
    };
    Err(Error::file(path, problem))
}
