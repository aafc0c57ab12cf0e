use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use edgeformer_core::{
    AttentionMass, CacheUsage, Input, Outputs, SequenceId, Session, SessionOptions, Span, Step,
    Want,
};
use edgeformer_models::ModelFile;

use super::evaluate::{Evaluation, OwnedInput, evaluate};
use super::saved;
use super::sequence::{Job, Running};
use super::stream::Event;
use crate::{Error, Result};

/// What the handle asks of the worker.
pub(super) enum Command {
    Do(Work),
    /// A conversation is over.
    Forget(u64),
    /// Answered between two steps.
    Ask(Question),
}

/// What the worker knows of its session.
pub(super) enum Question {
    Usage(Sender<CacheUsage>),
    Trim(Sender<u64>),
    Mass(Sender<Option<AttentionMass>>),
}

/// What takes a sequence.
pub(super) enum Work {
    Generate(Box<Job>),
    Evaluate(OwnedInput, Sender<Result<Evaluation>>),
    /// Keeps the cache of a conversation in a file.
    Save(Saved),
    /// Gives a conversation the cache that a file holds.
    Load(Saved),
}

/// The file of a conversation's cache; the answer is the number of its tokens.
pub(super) struct Saved {
    pub conversation: u64,
    pub path: PathBuf,
    pub reply: Sender<Result<usize>>,
}

impl Work {
    /// The conversation that it is a part of. Its parts are done one after the other.
    fn conversation(&self) -> Option<u64> {
        match self {
            Self::Generate(job) => job.conversation,
            Self::Evaluate(..) => None,
            Self::Save(saved) | Self::Load(saved) => Some(saved.conversation),
        }
    }
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
            Command::Forget(conversation) => self.forget(conversation),
            Command::Ask(question) => self.tell(question),
        }
    }

    fn forget(&mut self, conversation: u64) {
        if let Some(kept) = self.take_idle(conversation) {
            self.session.cache().remove(kept.sequence);
        }
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
        let limit = longest(&self.options);
        for (span, &(index, count)) in chosen.iter().enumerate() {
            let running = &mut self.running[index];
            running.fed += count;
            let logits = self.outputs.span(span);
            if !logits.is_empty() {
                running.advance(logits.row(0), limit);
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
            && let Some(work) = self.next_work()
        {
            match work {
                Work::Generate(job) => self.start_or_fail(*job),
                Work::Evaluate(input, reply) => {
                    self.make_room();
                    // A caller that does not wait any more wants no answer.
                    let _gone = reply.send(evaluate(self.session.as_mut(), &input, &self.options));
                }
                Work::Save(saved) => {
                    let _gone = saved.reply.send(self.save(saved.conversation, &saved.path));
                }
                Work::Load(saved) => {
                    let _gone = saved.reply.send(self.load(saved.conversation, &saved.path));
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

    fn save(&mut self, conversation: u64, path: &Path) -> Result<usize> {
        let kept = self.idle.iter().find(|&&(known, _)| known == conversation);
        let Some((_, Kept { sequence, tokens })) = kept.filter(|(_, kept)| !kept.tokens.is_empty())
        else {
            return Err(Error::Request(format!(
                "there is nothing to save to {}: the conversation has no cache",
                path.display()
            )));
        };
        saved::save(path, tokens, *sequence, self.session.cache())?;
        Ok(tokens.len())
    }

    fn load(&mut self, conversation: u64, path: &Path) -> Result<usize> {
        if let Some(kept) = self.take_idle(conversation) {
            self.session.cache().remove(kept.sequence);
        }
        self.make_room();
        let (sequence, tokens) = saved::load(path, self.session.cache())?;
        let count = tokens.len();
        self.idle.push((conversation, Kept { sequence, tokens }));
        Ok(count)
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
                self.begin(&job.prompt)?
            }
        };
        self.running.push(Running::start(job, &self.file, sequence, cached));
        Ok(())
    }

    /// A new sequence, which takes over what the cache still holds of such a beginning.
    fn begin(&mut self, prompt: &[u32]) -> Result<(SequenceId, usize)> {
        let cache = self.session.cache();
        let sequence = cache.create()?;
        // The last token is run again: its logits are what the answer starts from.
        match cache.adopt(sequence, &prompt[..prompt.len() - 1]) {
            Ok(cached) => Ok((sequence, cached)),
            Err(error) => {
                cache.remove(sequence);
                Err(error.into())
            }
        }
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

/// Tokens that a sequence may have at most; `None` where it goes on without end.
pub(super) fn longest(options: &SessionOptions) -> Option<usize> {
    (!options.visibility.is_endless()).then_some(options.context)
}
