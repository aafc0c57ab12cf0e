use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use edgeformer_core::graph::OutputKind;
use edgeformer_core::{AttentionMass, CacheUsage, Graph, Refusal, Session, SessionOptions};
use edgeformer_models::{ModelFile, OpenOptions};

use super::choose::Chosen;
use super::conversation::Conversation;
use super::evaluate::{Evaluation, OwnedInput};
use super::generate::{self, GenerateOptions, Prompt};
use super::schedule::{Worker, longest};
use super::sequence::Job;
use super::speculate::{DraftPlan, Speculator};
use super::stats::Clock;
use super::stream::TextStream;
use super::work::{Command, Question, Work};
use crate::{EngineOptions, Error, ModelSource, Plan, Result};

/// A model that is open and serves: share it between threads, ask it for several answers at once.
pub struct Engine {
    file: Arc<ModelFile>,
    session: SessionOptions,
    plan: Plan,
    refused: Vec<Refusal>,
    warnings: Vec<String>,
    /// `None` only while it is dropped.
    commands: Option<Sender<Command>>,
    worker: Option<JoinHandle<()>>,
    conversations: AtomicU64,
}

impl Engine {
    /// Opens a model.
    ///
    /// # Errors
    /// If its files are damaged, no backend can run it, or its tokenizer does not fit it.
    pub fn open(source: &ModelSource, options: &EngineOptions) -> Result<Self> {
        let tokenizer = OpenOptions { tokenizer: options.tokenizer };
        let file = source.open_adapted(&tokenizer, &options.adapters)?;
        let (mut chosen, options, told) = Chosen::tuned(&file, options)?;
        let options = &options;
        chosen.find_packed(source, &file, options.packed());
        let plan = Plan::with(&file, &chosen, options, told)?;
        plan.check()?;
        let program = chosen.backend().compile(file.model.clone(), &chosen.compile)?;
        let mut warnings: Vec<String> = chosen.packed_warning(&*program).into_iter().collect();
        let session = program.open(&plan.session)?;
        let draft = DraftPlan::of(&file, options, plan.session.context)?;
        let draft = draft.map(|draft| draft.open(&mut warnings)).transpose()?;
        let speculator = match file.model.graph.is_decoder() {
            true => Speculator::new(&options.speculation.within_limits(), draft),
            false => None,
        };
        let mut engine = Self::serve(file, plan, chosen.choice.refused, session, speculator)?;
        engine.warnings = warnings;
        Ok(engine)
    }

    /// Starts the worker that serves a session.
    pub(super) fn serve(
        file: ModelFile,
        plan: Plan,
        refused: Vec<Refusal>,
        session: Box<dyn Session>,
        speculator: Option<Speculator>,
    ) -> Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let file = Arc::new(file);
        let worker = Worker::new(session, plan.session.clone(), file.clone(), speculator);
        let worker = std::thread::Builder::new()
            .name("edgeformer-engine".into())
            .spawn(move || worker.serve(&inbox))
            .map_err(edgeformer_core::Error::from)?;
        Ok(Self {
            file,
            session: plan.session.clone(),
            plan,
            refused,
            warnings: Vec::new(),
            commands: Some(commands),
            worker: Some(worker),
            conversations: AtomicU64::new(0),
        })
    }

    /// What the model computes.
    pub fn graph(&self) -> &Graph {
        &self.file.model.graph
    }

    /// What the engine takes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The backends that were passed over, and why.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// What did not go as it might have, a line each: a packed file that was ignored.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Tokens that a sequence may hold.
    pub fn context(&self) -> usize {
        self.session.context
    }

    /// Whether the model has a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.file.chat_template.is_some()
    }

    /// Names of the classes, by index; empty if the model has none.
    pub fn labels(&self) -> &[String] {
        &self.file.labels
    }

    /// The model's files.
    pub(crate) fn file(&self) -> &ModelFile {
        &self.file
    }

    /// The tokens of a text, with those that the model starts and ends with.
    ///
    /// # Errors
    /// If the model has no tokenizer.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        Ok(generate::tokenizer(&self.file)?.encode(
            text,
            edgeformer_models::text::AddSpecial::AsModel,
            true,
        )?)
    }

    /// The tokens of a text that is read in one piece, to `purpose` it.
    ///
    /// # Errors
    /// If the model has no tokenizer, or the text is empty or does not fit the context.
    pub(crate) fn whole_text(&self, text: &str, purpose: &str) -> Result<Vec<u32>> {
        let tokens = self.tokenize(text)?;
        if tokens.is_empty() {
            return Err(Error::Request(format!("the text to {purpose} is empty")));
        }
        if tokens.len() > self.context() {
            return Err(Error::PromptTooLong { prompt: tokens.len(), context: self.context() });
        }
        Ok(tokens)
    }

    /// Starts an answer. The stream yields text as it comes; several streams run side by side.
    ///
    /// # Errors
    /// If the model writes no text, or the prompt is empty, names tokens outside the vocabulary,
    /// or does not fit the context (unless sinks and windows make sequences endless); if the options
    /// name an adapter that the engine does not have.
    pub fn generate<'a>(
        &self,
        prompt: impl Into<Prompt<'a>>,
        options: &GenerateOptions,
    ) -> Result<TextStream> {
        self.answer(prompt.into(), options, None)
    }

    /// A conversation: its turns share a cache, so that a turn only runs what is new.
    pub fn conversation(&self) -> Conversation<'_> {
        Conversation::new(self, self.conversations.fetch_add(1, Ordering::Relaxed))
    }

    /// Output rows for tokens: logits of decoders, hidden states of encoders, one row a token; of
    /// classifiers the scores of all classes, one row in all.
    ///
    /// # Errors
    /// If the tokens do not fit the model or the context.
    pub fn evaluate(&self, tokens: &[u32]) -> Result<Evaluation> {
        self.run(OwnedInput::Tokens(tokens.to_vec()))
    }

    /// Output rows for an image `[channels, height, width]`, prepared as the model wants it.
    ///
    /// # Errors
    /// If the pixels are not as many as the model takes.
    pub fn evaluate_pixels(&self, pixels: Vec<f32>) -> Result<Evaluation> {
        self.run(OwnedInput::Pixels(pixels))
    }

    pub(super) fn answer(
        &self,
        prompt: Prompt<'_>,
        options: &GenerateOptions,
        conversation: Option<u64>,
    ) -> Result<TextStream> {
        if !self.graph().is_decoder() {
            let Graph { name, output, .. } = self.graph();
            return Err(Error::Request(match output.kind {
                OutputKind::ClassScores => {
                    format!("a {name} classifier writes no text: use classify or logits")
                }
                _ => format!("a {name} model writes no text: use embed, classify or logits"),
            }));
        }
        let prompt = generate::encode(&self.file, prompt)?;
        let adapters = generate::scales(self.graph(), options.adapters.as_deref())?;
        if let Some(context) = longest(&self.session).filter(|&longest| prompt.len() > longest) {
            return Err(Error::PromptTooLong { prompt: prompt.len(), context });
        }
        let (events, inbox) = mpsc::channel();
        let (options, clock) = (options.clone(), Clock::start());
        let job = Job { prompt, options, adapters, conversation, events, clock };
        self.send(Command::Do(Work::Generate(Box::new(job))))?;
        Ok(TextStream::new(inbox))
    }

    /// How full the cache is.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn cache_usage(&self) -> Result<CacheUsage> {
        self.ask(Question::Usage)
    }

    /// Gives memory that holds nothing of a sequence back to the system, and says how many bytes
    /// that were. The next answers may take it again.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn trim(&self) -> Result<u64> {
        self.ask(Question::Trim)
    }

    /// Where attention went since the engine was opened, if it was opened with
    /// [`EngineOptions::observe_attention`] and its backend records it.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub fn attention_mass(&self) -> Result<Option<AttentionMass>> {
        self.ask(Question::Mass)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Question) -> Result<T> {
        let (reply, inbox) = mpsc::channel();
        self.send(Command::Ask(question(reply)))?;
        inbox.recv().map_err(|_| Error::Stopped)
    }

    fn run(&self, input: OwnedInput) -> Result<Evaluation> {
        let (reply, inbox) = mpsc::channel();
        self.send(Command::Do(Work::Evaluate(input, reply)))?;
        inbox.recv().map_err(|_| Error::Stopped)?
    }

    pub(super) fn send(&self, command: Command) -> Result<()> {
        let sent = self.commands.as_ref().map(|commands| commands.send(command));
        sent.and_then(Result::ok).ok_or(Error::Stopped)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Without senders the worker finishes what runs and ends.
        self.commands = None;
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has told every reader by hanging up.
            let _panicked = worker.join();
        }
    }
}
