//! A new classifier on a model that has none: what
//! `AutoModelForSequenceClassification.from_pretrained(model, num_labels=…)` does.

use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{Model, Tensor, Weight, Weights};

use crate::checkpoint::Checkpoint;
use crate::gguf::MetadataArray;
use crate::gguf_model::{OUTPUT_LABELS, RANK};
use crate::hf_config::Reader;
use crate::hyper::{Family, Hyper};
use crate::initial::{DEVIATION, Initial};
use crate::open::{ModelFile, SourceKind};
use crate::{Error, Result, families};

/// The heads that a classifier stands in the place of.
const HEADS: [&str; 2] = ["output.weight", "output.bias"];

/// What `transformers` calls a class that nobody named.
pub fn unnamed(index: usize) -> String {
    format!("LABEL_{index}")
}

/// A classifier for a model of texts: the names of its classes, and its weights under their names
/// in graphs.
#[derive(Debug, Clone)]
pub struct Classifier {
    labels: Vec<String>,
    tensors: Vec<(String, Tensor)>,
}

impl Classifier {
    /// A classifier for a model, a class a name. `values` makes its weights in f32, but for a
    /// pooler that the model's folder holds (BERT): that one is taken.
    ///
    /// # Errors
    /// If there is no name, or the model reads no text or has a classifier already.
    ///
    /// # Panics
    /// If `values` makes more or fewer values than a weight has.
    pub fn new(
        file: &ModelFile,
        labels: Vec<String>,
        values: &mut dyn FnMut(&WeightInfo, Initial) -> Vec<f32>,
    ) -> Result<Self> {
        let wrong = |problem: &str| Error::format(&file.source.path, "model", problem);
        if labels.is_empty() {
            return Err(wrong("can have no classifier without a class"));
        }
        if let Some(classes) = file.hyper.classes() {
            let problem = format!("has a classifier of {classes} classes already: let it learn");
            return Err(wrong(&problem));
        }
        let Some(hyper) = file.hyper.with_classes(labels.len()) else {
            return Err(wrong("reads no text, and a new classifier is for models that do"));
        };
        let graph = families::graph(&hyper)
            .map_err(|source| Error::Core { path: file.source.path.clone(), source })?;
        let deviation = deviation(file);
        let mut tensors = Vec::new();
        for info in
            graph.weights.iter().filter(|info| file.model.graph.weight_id(&info.name).is_none())
        {
            let tensor = match pooler(file, info)? {
                Some(found) => found,
                None => {
                    let initial = match info.shape.len() {
                        1 => Initial::Constant(0.0),
                        _ => Initial::Normal(deviation),
                    };
                    Tensor::from_f32(info.shape.clone(), &values(info, initial))
                        .map_err(|source| Error::Core { path: file.source.path.clone(), source })?
                }
            };
            tensors.push((info.name.clone(), tensor));
        }
        Ok(Self { labels, tensors })
    }

    /// The names of its classes, by index.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// An open model with this classifier in the place of its head: in memory, its files stay.
    ///
    /// # Errors
    /// If it is for another model.
    pub fn on(&self, mut file: ModelFile) -> Result<ModelFile> {
        let core = |source| Error::Core { path: file.source.path.clone(), source };
        let hyper = file.hyper.with_classes(self.labels.len()).ok_or_else(|| {
            let problem = "reads no text, and the classifier is for a model that does";
            Error::format(&file.source.path, "model", problem)
        })?;
        let graph = families::graph(&hyper).map_err(core)?;
        let mut weights = Weights::default();
        for info in &graph.weights {
            let own = self.tensors.iter().find(|(name, _)| *name == info.name);
            let weight = match own {
                Some((_, tensor)) => Weight::whole(tensor.clone()),
                None => file.model.weights.get(&info.name).map_err(core)?.clone(),
            };
            weights.insert(&info.name, weight);
        }
        weights.check(&graph).map_err(core)?;
        file.model = Arc::new(Model { graph, weights });
        file.hyper = hyper;
        file.labels.clone_from(&self.labels);
        Ok(file)
    }
}

impl Hyper {
    /// The same model with a classifier of so many classes; `None` where it reads no text.
    fn with_classes(&self, classes: usize) -> Option<Self> {
        let mut hyper = self.clone();
        match &mut hyper {
            Self::Decoder(decoder) => (decoder.classes, decoder.tied) = (Some(classes), false),
            Self::Encoder(encoder) => encoder.classes = Some(classes),
            Self::Vision(_) => return None,
        }
        Some(hyper)
    }
}

impl Checkpoint {
    /// The same model with a classifier in the place of its head.
    #[must_use]
    pub fn with_classifier(mut self, classifier: &Classifier) -> Self {
        let architecture = self.architecture().unwrap_or_default().to_owned();
        self.set(&format!("{architecture}.pooling_type"), RANK);
        let labels = MetadataArray::strings(classifier.labels.iter().map(String::as_str));
        self.set(&format!("{architecture}.{OUTPUT_LABELS}"), labels);
        let replaced = |name: &str| {
            HEADS.contains(&name) || classifier.tensors.iter().any(|(own, _)| own == name)
        };
        self.tensors.retain(|tensor| !replaced(tensor.name()));
        self.tensors.extend(
            classifier
                .tensors
                .iter()
                .map(|(name, tensor)| crate::checkpoint::LazyTensor::ready(name, tensor.clone())),
        );
        self
    }
}

/// The deviation that the model's own weights began with.
fn deviation(file: &ModelFile) -> f32 {
    let SourceKind::HuggingFace { config, .. } = &file.source.kind else { return DEVIATION };
    let stated = config.iter().find(|(key, _)| key == "initializer_range");
    let stated = stated.and_then(|(_, value)| value.parse::<f32>().ok());
    stated.filter(|deviation| deviation.is_finite() && *deviation > 0.0).unwrap_or(DEVIATION)
}

/// A weight of BERT's pooler, where the model's files hold it though its graph does not read it.
fn pooler(file: &ModelFile, info: &WeightInfo) -> Result<Option<Tensor>> {
    let is_pooler = file.hyper.family() == Family::Bert && !info.name.starts_with("cls.output.");
    let found = match &file.source.kind {
        _ if !is_pooler => return Ok(None),
        SourceKind::Gguf(gguf) => gguf.tensor(&info.name),
        SourceKind::HuggingFace { tensors, .. } => {
            let mut reader = Reader::new(Family::Bert, tensors);
            match reader.has(info) {
                true => return Ok(reader.weight(info)?.parts().first().cloned()),
                false => None,
            }
        }
    };
    match found {
        Some(tensor) if tensor.shape() != info.shape => {
            let place = format!("tensor {}", crate::error::quote(&info.name));
            let (found, needed) = (tensor.shape(), &info.shape);
            let problem = format!("has shape {found:?}, the metadata make it {needed:?}");
            Err(Error::format(&file.source.path, place, problem))
        }
        found => Ok(found),
    }
}
