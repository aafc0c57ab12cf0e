use std::collections::HashMap;
use std::time::{Duration, Instant};

use edgeformer_core::{
    Footprint, Graph, Input, Outputs, SequenceId, Session, SessionOptions, Span, Step, Want,
};
use edgeformer_models::{ModelFile, OpenOptions};

use super::options::Guesses;
use crate::engine::choose::Chosen;
use crate::engine::sequence::Running;
use crate::{EngineOptions, Error, PackedWeights, Result};

/// Tokens by which vocabularies may differ in size: those that only fill up; llama.cpp's number.
const PADDING: usize = 128;

/// A draft model that was looked at and not loaded.
pub(crate) struct DraftPlan {
    file: ModelFile,
    chosen: Chosen,
    session: SessionOptions,
    pub footprint: Footprint,
}

impl DraftPlan {
    /// The draft model that the options name, `None` if they name none. It holds sequences as
    /// long as the engine's, or as long as it was trained on.
    ///
    /// # Errors
    /// If its files are damaged, or it writes no text of the same vocabulary.
    pub fn of(target: &ModelFile, options: &EngineOptions, context: usize) -> Result<Option<Self>> {
        let (Guesses::Draft(source), true) =
            (&options.speculation.guesses, target.model.graph.is_decoder())
        else {
            return Ok(None);
        };
        let file = source.open_file(&OpenOptions { tokenizer: options.tokenizer })?;
        check_vocabulary(target, &file)
            .map_err(|problem| Error::Request(format!("the draft model {source}: {problem}")))?;
        let graph = &file.model.graph;
        let own = EngineOptions {
            context: Some(graph.trained_context().map_or(context, |trained| trained.min(context))),
            backend: options.backend.clone(),
            threads: options.threads.or(options.tuned.threads),
            threads_batch: options.threads_batch,
            isa: options.isa.clone(),
            sequences: options.sequences,
            latent_form: options.latent_form,
            // A file that is named is the large model's.
            packed: match options.packed {
                PackedWeights::Ignored => PackedWeights::Ignored,
                PackedWeights::Beside | PackedWeights::File(_) => PackedWeights::Beside,
            },
            ..EngineOptions::default()
        };
        let mut chosen = Chosen::of(graph, &own)?;
        chosen.find_packed(source, &file, &own.packed);
        let session = own.session(graph)?;
        let footprint = chosen.backend().plan(&file.model, &chosen.compile, &session)?;
        Ok(Some(Self { file, chosen, session, footprint }))
    }

    /// Loads it; adds what there is to warn of.
    ///
    /// # Errors
    /// If the backend cannot compile it or has no memory for it.
    pub fn open(self, warnings: &mut Vec<String>) -> Result<DraftModel> {
        let program =
            self.chosen.backend().compile(self.file.model.clone(), &self.chosen.compile)?;
        warnings.extend(self.chosen.packed_warning(&*program));
        let session = program.open(&self.session)?;
        let vocabulary = self.file.model.graph.vocabulary();
        Ok(DraftModel {
            session,
            options: self.session,
            vocabulary,
            known: HashMap::new(),
            outputs: Outputs::default(),
        })
    }
}

/// Whether guesses of `draft` mean the same to `target`.
fn check_vocabulary(target: &ModelFile, draft: &ModelFile) -> Result<(), String> {
    let of = |file: &ModelFile| {
        let graph: &Graph = &file.model.graph;
        if graph.is_decoder() { Some(graph.vocabulary()) } else { None }
    };
    let (Some(wanted), Some(found)) = (of(target), of(draft)) else {
        return Err("it writes no text: name a model that does".into());
    };
    if wanted.abs_diff(found) > PADDING {
        return Err(format!(
            "its vocabulary has {found} tokens, the model's {wanted}: use one of the same family"
        ));
    }
    let (Some(ours), Some(theirs)) = (&target.tokenizer, &draft.tokenizer) else { return Ok(()) };
    let common = wanted.min(found) as u32;
    match (0..common).find(|&token| ours.piece(token) != theirs.piece(token)) {
        Some(token) => Err(format!(
            "token {token} is {:?}, for the model it is {:?}: use one of the same family",
            theirs.piece(token).unwrap_or_default(),
            ours.piece(token).unwrap_or_default()
        )),
        None => Ok(()),
    }
}

/// A small model that guesses what the large one will say.
pub(crate) struct DraftModel {
    session: Box<dyn Session>,
    options: SessionOptions,
    vocabulary: usize,
    /// By the engine's sequence.
    known: HashMap<SequenceId, Known>,
    outputs: Outputs,
}

/// What the draft model has in its cache of a sequence.
struct Known {
    sequence: SequenceId,
    tokens: Vec<u32>,
}

impl DraftModel {
    /// Guesses `count` tokens that follow those of an answer, fewer where there is no room; with
    /// the time that it took, reading what it did not know yet left out.
    ///
    /// Each guess is drawn as the answer's own sampler would draw it, with the same random number:
    /// where the two models agree about what is likely, the large one draws the same.
    ///
    /// # Errors
    /// If a step fails.
    pub(in crate::engine) fn propose(
        &mut self,
        answer: &Running,
        count: usize,
    ) -> Result<(Vec<u32>, Duration)> {
        let tokens = &answer.tokens;
        let room = self.options.context.saturating_sub(tokens.len());
        let foreign = tokens.iter().any(|&token| token as usize >= self.vocabulary);
        if count == 0 || room == 0 || foreign {
            return Ok((Vec::new(), Duration::ZERO));
        }
        let mut known = match self.known.remove(&answer.sequence) {
            Some(known) => known,
            None => self.begin(tokens)?,
        };
        let guessed = self.guess(&mut known, answer, count.min(room));
        // Whatever happened: what it holds is known, and may be continued or dropped.
        self.known.insert(answer.sequence, known);
        guessed
    }

    /// Forgets a sequence.
    pub fn forget(&mut self, sequence: SequenceId) {
        if let Some(known) = self.known.remove(&sequence) {
            self.session.cache().remove(known.sequence);
        }
    }

    /// A new sequence, with what the cache still holds of such a beginning.
    fn begin(&mut self, tokens: &[u32]) -> Result<Known> {
        let cache = self.session.cache();
        let sequence = cache.create()?;
        match cache.adopt(sequence, &tokens[..tokens.len() - 1]) {
            Ok(cached) => Ok(Known { sequence, tokens: tokens[..cached].to_vec() }),
            Err(error) => {
                cache.remove(sequence);
                Err(error.into())
            }
        }
    }

    fn guess(
        &mut self,
        known: &mut Known,
        answer: &Running,
        count: usize,
    ) -> Result<(Vec<u32>, Duration)> {
        self.go_back(known, &answer.tokens)?;
        let behind = answer.tokens.len() - known.tokens.len();
        let mut start = Instant::now();
        self.feed(known, &answer.tokens[known.tokens.len()..])?;
        // A few tokens were accepted since: that is part of guessing. A prompt is not.
        if behind > self.options.chunk.min(32) {
            start = Instant::now();
        }
        let mut sampler = answer.sampler.clone();
        let mut guesses = Vec::with_capacity(count);
        loop {
            guesses.push(sampler.next(self.outputs.span(0).row(0), answer.banned())?);
            if guesses.len() == count {
                return Ok((guesses, start.elapsed()));
            }
            let last = guesses[guesses.len() - 1];
            self.feed(known, &[last])?;
        }
    }

    /// Forgets what turned out otherwise. The last token is run again: guessing starts there.
    fn go_back(&mut self, known: &mut Known, tokens: &[u32]) -> Result<()> {
        let common = known.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let keep = common.min(tokens.len() - 1);
        if keep < known.tokens.len() {
            // A window may have moved on too far to go back to there.
            let cache = self.session.cache();
            let keep = if cache.truncate(known.sequence, keep).is_ok() { keep } else { 0 };
            if keep == 0 {
                cache.truncate(known.sequence, 0)?;
            }
            known.tokens.truncate(keep);
        }
        Ok(())
    }

    /// Runs tokens behind those that are known.
    fn feed(&mut self, known: &mut Known, tokens: &[u32]) -> Result<()> {
        for part in tokens.chunks(self.options.chunk) {
            let span =
                Span { sequence: known.sequence, input: Input::Tokens(part), want: Want::Last };
            self.session.run(&Step { spans: &[span] }, &mut self.outputs)?;
            known.tokens.extend_from_slice(part);
        }
        Ok(())
    }
}
