use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use edgeformer_core::{Input, Outputs, SequenceId, Session, SessionOptions, Span, Step, Want};
use edgeformer_models::ModelFile;

use super::evaluate::{Evaluation, OwnedInput, evaluate};
use super::sequence::{Job, Running};
use super::stream::Event;
use crate::Result;

/// What the handle asks of the worker.
pub(super) enum Command {
    Do(Work),
    /// A conversation is over.
    Forget(u64),
}

/// What takes a sequence.
pub(super) enum Work {
    Generate(Box<Job>),
    Evaluate(OwnedInput, Sender<Result<Evaluation>>),
}

/// Owns the session and serves the commands.
pub(super) struct Worker {
    session: Box<dyn Session>,
    options: SessionOptions,
    file: Arc<ModelFile>,
    waiting: VecDeque<Work>,
    running: Vec<Running>,
    /// Conversations whose cache is kept for their next turn, the least recently used first.
    idle: Vec<(u64, Kept)>,
    outputs: Outputs,
}

/// The cache of a conversation between two turns.
struct Kept {
    sequence: SequenceId,
    /// What it holds.
    tokens: Vec<u32>,
}

impl Worker {
    pub fn new(session: Box<dyn Session>, options: SessionOptions, file: Arc<ModelFile>) -> Self {
        let (waiting, running, idle) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { session, options, file, waiting, running, idle, outputs: Outputs::default() }
    }

    /// Serves until every handle is gone.
    pub fn serve(mut self, commands: &Receiver<Command>) {
        loop {
            let busy = !self.running.is_empty() || !self.waiting.is_empty();
            match commands.try_recv() {
                Ok(command) => self.accept(command),
                Err(_) if busy => self.step(),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => match commands.recv() {
                    Ok(command) => self.accept(command),
                    Err(_) => return,
                },
            }
        }
    }

    fn accept(&mut self, command: Command) {
        match command {
            Command::Do(work) => self.waiting.push_back(work),
            Command::Forget(conversation) => {
                if let Some(kept) = self.take_idle(conversation) {
                    self.session.cache().remove(kept.sequence);
                }
            }
        }
    }

    /// One ragged step: admits what fits, runs it, advances every answer.
    fn step(&mut self) {
        self.admit();
        let counts = self.share_out();
        let chosen: Vec<(usize, usize)> =
            (0..).zip(counts).filter(|&(_, count)| count > 0).collect();
        if chosen.is_empty() {
            return;
        }
        if let Err(error) = self.run(&chosen) {
            match chosen.as_slice() {
                [(index, _)] => self.running[*index].fail(error),
                // One of them is to blame: let each find out alone.
                _ => self.run_alone(chosen),
            }
        }
        self.retire();
    }

    /// How many tokens of each running answer go into the next step: single tokens first, so that
    /// nobody who reads has to wait for somebody's long prompt.
    fn share_out(&self) -> Vec<usize> {
        let mut left = self.options.chunk;
        let mut counts = vec![0; self.running.len()];
        for prompts in [false, true] {
            for (running, count) in self.running.iter().zip(&mut counts) {
                let pending = running.pending().len();
                if (pending > 1) == prompts {
                    *count = pending.min(left);
                    left -= *count;
                }
            }
        }
        counts
    }

    /// Runs the first `count` pending tokens of each chosen answer.
    fn run(&mut self, chosen: &[(usize, usize)]) -> Result<()> {
        let spans: Vec<Span<'_>> = chosen
            .iter()
            .map(|&(index, count)| {
                let running = &self.running[index];
                let (pending, sequence) = (running.pending(), running.sequence);
                let want = if count == pending.len() { Want::Last } else { Want::Nothing };
                Span { sequence, input: Input::Tokens(&pending[..count]), want }
            })
            .collect();
        self.session.run(&Step { spans: &spans }, &mut self.outputs)?;
        for (span, &(index, count)) in chosen.iter().enumerate() {
            let running = &mut self.running[index];
            running.fed += count;
            let logits = self.outputs.span(span);
            if !logits.is_empty() {
                running.advance(logits.row(0), self.options.context);
            }
        }
        Ok(())
    }

    fn run_alone(&mut self, chosen: Vec<(usize, usize)>) {
        for (index, count) in chosen {
            if let Err(error) = self.run(&[(index, count)]) {
                self.running[index].fail(error);
            }
        }
    }

    /// Takes on waiting work while there is room.
    fn admit(&mut self) {
        while self.running.len() < self.options.sequences
            && let Some(work) = self.waiting.pop_front()
        {
            match work {
                Work::Generate(job) => self.start_or_fail(*job),
                Work::Evaluate(input, reply) => {
                    self.make_room();
                    // A caller that does not wait any more wants no answer.
                    let _gone = reply.send(evaluate(self.session.as_mut(), &input, &self.options));
                }
            }
        }
    }

    fn start_or_fail(&mut self, job: Job) {
        let events = job.events.clone();
        if let Err(error) = self.start(job) {
            let _gone = events.send(Event::Failed(error));
        }
    }

    fn start(&mut self, job: Job) -> Result<()> {
        let kept = job.conversation.and_then(|conversation| self.take_idle(conversation));
        let continued = kept.and_then(|kept| self.continue_kept(kept, &job.prompt));
        let (sequence, cached) = match continued {
            Some(continued) => continued,
            None => {
                self.make_room();
                (self.session.cache().create()?, 0)
            }
        };
        self.running.push(Running::start(job, &self.file, sequence, cached));
        Ok(())
    }

    /// Cuts a kept cache back to what `prompt` starts with. `None` if nothing of it is of use.
    fn continue_kept(&mut self, kept: Kept, prompt: &[u32]) -> Option<(SequenceId, usize)> {
        let common = kept.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // The last token is run again: its logits are what the answer starts from.
        let cached = common.min(prompt.len() - 1);
        let cache = self.session.cache();
        // A window may have moved on too far to go back; then the prompt is run from the start.
        if cached == 0 || cache.truncate(kept.sequence, cached).is_err() {
            cache.remove(kept.sequence);
            return None;
        }
        Some((kept.sequence, cached))
    }

    /// Drops the caches of conversations that were idle longest until one more sequence fits.
    fn make_room(&mut self) {
        while !self.idle.is_empty()
            && self.running.len() + self.idle.len() >= self.options.sequences
        {
            let (_, kept) = self.idle.remove(0);
            self.session.cache().remove(kept.sequence);
        }
    }

    /// Drops answers that have ended; conversations keep their cache.
    fn retire(&mut self) {
        for running in self.running.extract_if(.., |running| running.ended) {
            let Running { sequence, conversation, mut tokens, fed, .. } = running;
            tokens.truncate(fed);
            match conversation {
                Some(conversation) => self.idle.push((conversation, Kept { sequence, tokens })),
                None => self.session.cache().remove(sequence),
            }
        }
    }

    fn take_idle(&mut self, conversation: u64) -> Option<Kept> {
        let index = self.idle.iter().position(|&(known, _)| known == conversation)?;
        Some(self.idle.remove(index).1)
    }
}
