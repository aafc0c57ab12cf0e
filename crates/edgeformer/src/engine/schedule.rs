use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use edgeformer_core::{
    AdapterScales, Input, Outputs, SequenceId, Session, SessionOptions, Span, Step, Want,
};
use edgeformer_models::ModelFile;

use super::evaluate::evaluate;
use super::kept::{KeptCaches, Seen};
use super::sequence::{Job, Running, Verdict};
use super::speculate::Speculator;
use super::stream::Event;
use super::work::{Command, Question, Saved, Work};
use crate::Result;

/// Owns the session and serves the commands.
pub(super) struct Worker {
    session: Box<dyn Session>,
    options: SessionOptions,
    file: Arc<ModelFile>,
    waiting: VecDeque<Work>,
    running: Vec<Running>,
    /// Of conversations that wait for their next turn.
    kept: KeptCaches,
    outputs: Outputs,
    speculator: Option<Speculator>,
}

impl Worker {
    pub fn new(
        session: Box<dyn Session>,
        options: SessionOptions,
        file: Arc<ModelFile>,
        speculator: Option<Speculator>,
    ) -> Self {
        let (waiting, running, kept) = (VecDeque::new(), Vec::new(), KeptCaches::default());
        let outputs = Outputs::default();
        Self { session, options, file, waiting, running, kept, outputs, speculator }
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
            Command::Forget(conversation) => self.forget(conversation),
            Command::Ask(question) => self.tell(question),
        }
    }

    fn forget(&mut self, conversation: u64) {
        self.kept.forget(conversation, self.session.cache());
        // Answers that are still to come have no next turn to keep their cache for.
        let jobs = self.waiting.iter_mut().filter_map(|work| match work {
            Work::Generate(job) => Some(&mut job.conversation),
            _ => None,
        });
        let running = self.running.iter_mut().map(|running| &mut running.conversation);
        jobs.chain(running).for_each(|known| {
            *known = known.filter(|&known| known != conversation);
        });
    }

    /// A caller that does not wait any more wants no answer.
    fn tell(&mut self, question: Question) {
        let _gone = match question {
            Question::Usage(reply) => reply.send(self.session.cache().usage()).is_err(),
            Question::Trim(reply) => reply.send(self.session.trim()).is_err(),
            Question::Mass(reply) => reply.send(self.session.attention_mass().cloned()).is_err(),
        };
    }

    /// One ragged step: admits what fits, runs it, advances every answer.
    fn step(&mut self) {
        self.admit();
        self.guess();
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

    /// Puts guesses behind the answers, where all of them are being written: beside a prompt,
    /// arithmetic and not memory is what a step takes its time for.
    fn guess(&mut self) {
        let Some(speculator) = &mut self.speculator else { return };
        if self.running.iter().any(Running::is_prompt) {
            return;
        }
        let others = self.running.len().saturating_sub(1);
        let rows = self.options.chunk.min(self.options.output_rows);
        let mut spare = rows.saturating_sub(self.running.len());
        let longest = longest(&self.options).unwrap_or(usize::MAX);
        for running in &mut self.running {
            // The last token drawn need not be in the cache.
            let in_context = longest.saturating_sub(running.tokens.len());
            let room = spare.min(running.left()).min(in_context).min(self.options.page_tokens);
            match speculator.guess(running, room, others) {
                Ok(guess) => {
                    spare -= guess.tokens.len();
                    running.put_guess(&guess);
                }
                Err(error) => running.fail(error),
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
                if running.is_prompt() == prompts {
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
                let want = match count == pending.len() {
                    true if running.guessed() > 0 => Want::All,
                    true => Want::Last,
                    false => Want::Nothing,
                };
                Span { sequence, input: Input::Tokens(&pending[..count]), want }
            })
            .collect();
        let start = Instant::now();
        self.session.run(&Step { spans: &spans }, &mut self.outputs)?;
        let time = start.elapsed();
        let is_prompt = chosen.iter().any(|&(index, _)| self.running[index].is_prompt());
        if let Some(speculator) = self.speculator.as_mut().filter(|_| !is_prompt) {
            speculator.measured(chosen.iter().map(|(_, count)| count).sum(), time);
        }
        for (span, &(index, count)) in chosen.iter().enumerate() {
            self.running[index].fed += count;
            if !self.outputs.span(span).is_empty() {
                self.verify(index, span);
            }
        }
        Ok(())
    }

    /// Takes what a step says of an answer and its guesses; the cache forgets the wrong ones.
    fn verify(&mut self, index: usize, span: usize) {
        let running = &mut self.running[index];
        let Verdict { class, guessed, right, expected } =
            running.verify(self.outputs.span(span), longest(&self.options));
        if let Some(speculator) = &mut self.speculator {
            speculator.judge(class, guessed, right);
            if let Some((class, was_right)) = expected {
                speculator.judge(class, 1, usize::from(was_right));
            }
        }
        if right < guessed
            && let Err(error) = self.session.cache().truncate(running.sequence, running.fed)
        {
            running.fail(error.into());
        }
    }

    /// Runs chosen answers one by one, without guesses.
    fn run_alone(&mut self, chosen: Vec<(usize, usize)>) {
        for (index, count) in chosen {
            let count = count - self.running[index].take_guesses().len();
            if let Err(error) = self.run(&[(index, count)]) {
                self.running[index].fail(error);
            }
        }
    }

    /// Takes on waiting work while there is room.
    fn admit(&mut self) {
        while self.running.len() < self.options.sequences
            && let Some(work) = self.next_work()
        {
            match work {
                Work::Generate(job) => self.start_or_fail(*job),
                Work::Evaluate(input, reply) => {
                    self.make_room();
                    // A caller that does not wait any more wants no answer.
                    let graph = &self.file.model.graph;
                    let rows = evaluate(self.session.as_mut(), &input, &self.options, graph);
                    let _gone = reply.send(rows);
                }
                Work::Save(Saved { conversation, path, reply }) => {
                    let _gone =
                        reply.send(self.kept.save(conversation, &path, self.session.cache()));
                }
                Work::Load(Saved { conversation, path, reply }) => {
                    self.kept.forget(conversation, self.session.cache());
                    self.make_room();
                    let _gone =
                        reply.send(self.kept.load(conversation, &path, self.session.cache()));
                }
            }
        }
    }

    /// The first waiting work that can start: not while its conversation is still answering.
    fn next_work(&mut self) -> Option<Work> {
        let is_running =
            |wanted| self.running.iter().any(|running| running.conversation == Some(wanted));
        let can_start = |work: &Work| work.conversation().is_none_or(|wanted| !is_running(wanted));
        let index = self.waiting.iter().position(can_start)?;
        self.waiting.remove(index)
    }

    fn start_or_fail(&mut self, job: Job) {
        let events = job.events.clone();
        if let Err(error) = self.start(job) {
            let _gone = events.send(Event::Failed(error));
        }
    }

    fn start(&mut self, job: Job) -> Result<()> {
        let resumed = job.conversation.and_then(|conversation| {
            self.kept.resume(conversation, &job.prompt, &job.adapters, self.session.cache())
        });
        let (sequence, cached) = match resumed {
            Some(resumed) => resumed,
            None => {
                self.make_room();
                self.begin(&job.prompt, &job.adapters)?
            }
        };
        self.running.push(Running::start(job, &self.file, sequence, cached));
        Ok(())
    }

    /// Drops caches of waiting conversations until one more sequence fits.
    fn make_room(&mut self) {
        let others = self.options.sequences.saturating_sub(self.running.len() + 1);
        self.kept.shrink_to(others, self.session.cache());
    }

    /// A new sequence, which takes over what the cache still holds of such a beginning.
    fn begin(&mut self, prompt: &[u32], adapters: &AdapterScales) -> Result<(SequenceId, usize)> {
        let cache = self.session.cache();
        let sequence = cache.create()?;
        let set = cache.set_adapters(sequence, adapters);
        // The last token is run again: its logits are what the answer starts from.
        match set.and_then(|()| cache.adopt(sequence, &prompt[..prompt.len() - 1])) {
            Ok(cached) => Ok((sequence, cached)),
            Err(error) => {
                cache.remove(sequence);
                Err(error.into())
            }
        }
    }

    /// Drops answers that have ended; conversations keep their cache.
    fn retire(&mut self) {
        for running in self.running.extract_if(.., |running| running.ended) {
            let Running { sequence, conversation, adapters, mut tokens, fed, .. } = running;
            if let Some(speculator) = &mut self.speculator {
                speculator.forget(sequence);
            }
            tokens.truncate(fed);
            match conversation {
                Some(conversation) => {
                    let seen = Seen { tokens, adapters };
                    self.kept.keep(conversation, sequence, seen);
                }
                None => self.session.cache().remove(sequence),
            }
        }
    }
}

/// Tokens that a sequence may have at most; `None` where it goes on without end.
pub(super) fn longest(options: &SessionOptions) -> Option<usize> {
    (!options.visibility.is_endless()).then_some(options.context)
}
