//! A model that is evaluated.

use std::path::Path;
use std::sync::Arc;

use edgeformer_core::{Backend, CompileOptions, Model, Program, SessionOptions};
use edgeformer_models::text::{AddSpecial, Tokenizer};
use edgeformer_models::{ModelFile, OpenOptions};

use super::{Windows, dequantized};
use crate::engine::Chosen;
use crate::hash::Fnv;
use crate::tuning::ModelKey;
use crate::{EngineOptions, Error, ModelSource, Plan, Result};

/// Bytes at both ends of a tensor that tell a model from one of the same shape.
const SAMPLE: usize = 4096;

/// What activations are in products with quantized weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// As the backend has them: 8-bit codes for most formats.
    #[default]
    AsUsual,
    /// Floats: the weights are turned into floats first ([`dequantized`]).
    F32,
}

/// A model that is compiled to be evaluated: sessions over one program.
pub struct Subject {
    /// The program.
    pub program: Arc<dyn Program>,
    /// How its sessions are opened.
    pub session: SessionOptions,
    /// What it takes.
    pub plan: Plan,
    /// What did not go as it might have, a line each.
    pub warnings: Vec<String>,
    file: ModelFile,
    name: String,
    identity: String,
    backend: Arc<dyn Backend>,
    compile: CompileOptions,
}

impl Subject {
    /// Opens and compiles a model that continues text.
    ///
    /// # Errors
    /// If its files are damaged, it does not continue text, or no backend runs it.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        activations: Activations,
    ) -> Result<Self> {
        let tokenizer = OpenOptions { tokenizer: options.tokenizer };
        let mut file = source.open_adapted(&tokenizer, &options.adapters)?;
        let graph = &file.model.graph;
        if !graph.is_decoder() || !graph.is_causal() {
            let family = &graph.name;
            return Err(Error::Request(format!(
                "{source}: a {family} model continues no text; compare encoders with eval embeddings, classifiers with eval accuracy --images"
            )));
        }
        let key = identity(&file, activations);
        if activations == Activations::F32 {
            file.model = Arc::new(dequantized(&file.model)?);
        }
        let (mut chosen, options, told) = Chosen::tuned(&file, options)?;
        if activations == Activations::AsUsual {
            chosen.find_packed(source, &file, options.packed());
        }
        let plan = Plan::with(&file, &chosen, &options, told)?;
        plan.check()?;
        let program = chosen.backend().compile(file.model.clone(), &chosen.compile)?;
        Ok(Self {
            identity: format!("{key} {}", settings(&plan)),
            warnings: chosen.packed_warning(&*program).into_iter().collect(),
            session: plan.session.clone(),
            name: source.to_string(),
            backend: chosen.backend().clone(),
            // What is packed beside a file is packed of that file alone.
            compile: CompileOptions { packed: None, ..chosen.compile },
            program,
            plan,
            file,
        })
    }

    /// The model that was opened.
    pub fn model(&self) -> &Arc<Model> {
        &self.file.model
    }

    /// Compiles a changed model of the same graph, as this one was compiled.
    ///
    /// # Errors
    /// If the backend refuses it.
    pub fn program_of(&self, model: Arc<Model>) -> Result<Arc<dyn Program>> {
        Ok(self.backend.compile(model, &self.compile)?)
    }

    /// The tokens of a text, the one that the model begins texts with in front.
    ///
    /// # Errors
    /// If the model has no tokenizer, or the text has tokens outside the vocabulary.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        let body = self.tokenizer()?.encode(text, AddSpecial::Never, false)?;
        let tokens: Vec<u32> = self.beginning().into_iter().chain(body).collect();
        let vocabulary = self.vocabulary();
        match tokens.iter().find(|&&token| token as usize >= vocabulary) {
            Some(&token) => Err(edgeformer_core::Error::Token { token, vocabulary }.into()),
            None => Ok(tokens),
        }
    }

    /// The token that begins a text, where the model was trained with one.
    pub fn beginning(&self) -> Option<u32> {
        let tokenizer = self.file.tokenizer.as_ref()?;
        let marks = tokenizer.encode("", AddSpecial::AsModel, false).ok()?;
        tokenizer.bos().filter(|bos| marks.first() == Some(bos))
    }

    /// Tokens that the vocabulary has.
    pub fn vocabulary(&self) -> usize {
        self.program.graph().vocabulary()
    }

    /// Whether a reference speaks of the same tokens.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_vocabulary(&self, reference: &Self) -> Result<()> {
        let (ours, theirs) = (self.vocabulary(), reference.vocabulary());
        let tokenizers = self.file.tokenizer.as_ref().zip(reference.file.tokenizer.as_ref());
        let differs = |(a, b): (&Tokenizer, &Tokenizer)| {
            (0..ours.min(a.vocabulary_size()) as u32)
                .find(|&token| a.piece(token) != b.piece(token))
        };
        let problem = match tokenizers.and_then(differs) {
            _ if ours != theirs => format!("{ours} tokens and {theirs}"),
            Some(token) => format!("token {token} is not the same text in both"),
            None => return Ok(()),
        };
        Err(Error::Request(format!(
            "{} and its reference {} have different vocabularies ({problem}): distributions over them cannot be compared; name a reference of the same family of models",
            self.name, reference.name
        )))
    }

    /// What tells this model, and how it is run, from others.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn tokenizer(&self) -> Result<&Tokenizer> {
        let missing = || {
            let problem = "the model has no tokenizer to read a text with";
            Error::Request(format!("{}: {problem}; add tokenizer.json to its folder", self.name))
        };
        self.file.tokenizer.as_ref().ok_or_else(missing)
    }
}

/// A text cut for a model, with overlap where there is a stride.
///
/// # Errors
/// If the model has no tokenizer, or the text is shorter than one window.
pub fn text_windows(subject: &Subject, text: &str, stride: Option<usize>) -> Result<Windows> {
    // As llama.cpp reads files.
    let tokens = subject.tokenize(text.strip_suffix('\n').unwrap_or(text))?;
    match stride {
        None => Windows::new(&tokens, subject.session.context, subject.beginning()),
        Some(stride) => Windows::sliding(&tokens, subject.session.context, stride),
    }
}

/// A file of text.
///
/// # Errors
/// If it cannot be read, is not UTF-8, or is empty.
pub fn read_text(path: &Path) -> Result<String> {
    let wrong = |problem: String| Error::EvaluationFile { path: path.to_owned(), problem };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        wrong(format!("byte {offset} is not valid UTF-8: convert the text first (iconv -t UTF-8)"))
    })?;
    if text.trim().is_empty() {
        return Err(wrong("there is no text in it".into()));
    }
    Ok(text)
}

/// What tells a model from others, wherever its files lie: its graph, the formats of its weights,
/// and samples of their bytes.
pub(super) fn identity(file: &ModelFile, activations: Activations) -> String {
    let mut hash = Fnv::default();
    for (_, weight) in file.model.weights.iter() {
        for part in weight.parts() {
            let bytes = part.bytes();
            hash.add(&bytes[..bytes.len().min(SAMPLE)]);
            hash.add(&bytes[bytes.len().saturating_sub(SAMPLE)..]);
        }
    }
    format!("{:?} {activations:?} {:016x}", ModelKey::of(file), hash.value())
}

/// What of a session changes its bits: chunks and rows do not.
pub(super) fn settings(plan: &Plan) -> String {
    let SessionOptions {
        context,
        cache_type_k,
        cache_type_v,
        page_tokens,
        visibility,
        tiers,
        latent_form,
        ..
    } = &plan.session;
    format!(
        "{} {context} {} {} {page_tokens} {visibility:?} {:?} {latent_form:?}",
        plan.backend,
        cache_type_k.name(),
        cache_type_v.name(),
        tiers.cold
    )
}
