//! How a run fits its memory: what it takes, and how its batches are split so that it stays within a
//! budget.

use std::fmt::Write;

use edgeformer_core::graph::WeightId;
use edgeformer_core::{Format, Model};
use edgeformer_models::{OpenOptions, open_with};
use serde::Serialize;

use super::base::{self, Intent};
use super::low_rank::LoraOptions;
use super::request::{Method, Request};
use crate::memory::{MemoryPlan, RunShape};
use crate::run::Order;
use crate::shares::Shares;
use crate::trainer::Example;
use crate::{Error, Result};

/// The program, its threads and their stacks, what products are packed into, what the allocator does
/// not give back. Measured: `cargo bench -p edgeformer-train --bench training` prints the peak beside
/// what is planned without it.
const PROGRAM: u64 = 40 << 20;

/// Steps whose batches are looked at.
const STEPS: u64 = 1000;

/// How a run is done, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fitting {
    /// Tokens that go through the model at a time.
    pub micro_batch_tokens: usize,
    /// Shares of a batch that these are of.
    pub side_by_side: usize,
    /// Whether activations are computed again backward.
    pub gradient_checkpointing: bool,
    /// What weights, optimizer, gradients and activations take.
    #[serde(flatten)]
    pub plan: MemoryPlan,
    /// Bytes of a model that is learned from.
    pub teacher: u64,
    /// Bytes of the records.
    pub records: u64,
    /// Bytes of the program itself, about.
    pub program: u64,
    /// All bytes together.
    pub total: u64,
}

/// What does not change with the way that batches are split.
pub(super) struct Load<'a> {
    pub request: &'a Request,
    pub model: &'a Model,
    pub intent: &'a Intent,
    pub examples: &'a [Example],
}

impl Load<'_> {
    /// The way that is asked for, or where it does not fit the budget the fastest that does: smaller
    /// parts of a batch first, then activations that are computed again.
    ///
    /// # Errors
    /// If none fits, with what would.
    pub fn fit(&self) -> Result<Fitting> {
        let Request { part_tokens, checkpointing, memory_budget, .. } = *self.request;
        let asked = self.plan(part_tokens, checkpointing)?;
        let Some(budget) = memory_budget else { return Ok(asked) };
        let ways = if checkpointing { vec![true] } else { vec![false, true] };
        let mut least = asked;
        for checkpointing in ways {
            for part_tokens in self.splits(part_tokens) {
                let way = self.plan(part_tokens, checkpointing)?;
                if way.total <= budget {
                    return Ok(way);
                }
                if way.total < least.total {
                    least = way;
                }
            }
        }
        Err(self.refusal(&least, budget))
    }

    /// Parts of so many tokens, halved until one holds the longest record alone.
    fn splits(&self, most: usize) -> Vec<usize> {
        let longest = self.examples.iter().map(|one| one.input.tokens()).max().unwrap_or(1);
        let halves = std::iter::successors(Some(most), |&tokens| Some(tokens / 2));
        let mut splits: Vec<usize> = halves.take_while(|&tokens| tokens > longest).collect();
        splits.push(longest.min(most));
        splits
    }

    fn plan(&self, part_tokens: usize, checkpointing: bool) -> Result<Fitting> {
        self.plan_of(self.model, self.intent, part_tokens, checkpointing, |shape| shape)
    }

    /// What a way takes, its shape changed by `change`.
    fn plan_of(
        &self,
        model: &Model,
        intent: &Intent,
        part_tokens: usize,
        checkpointing: bool,
        change: impl Fn(Largest) -> Largest,
    ) -> Result<Fitting> {
        let largest = change(self.largest(part_tokens));
        let flags = |ids: &[WeightId]| -> Vec<bool> {
            let mut flags = vec![false; model.graph.weights.len()];
            ids.iter().for_each(|id| flags[id.index()] = true);
            flags
        };
        let (learns, drops) = (flags(&intent.learning), flags(&intent.dropped));
        let rounds = flags(&intent.rounded);
        let shape = RunShape {
            learns: &learns,
            drops: &drops,
            rounds: &rounds,
            tokens: largest.tokens,
            sequences: largest.sequences,
            longest: largest.longest,
            output_rows: largest.rows,
            several_shares: largest.shares > 1,
            side_by_side: largest.side_by_side,
            checkpointing,
            eight_bit: self.request.optimizer.eight_bit,
            average: self.request.average.is_some(),
        };
        let plan = MemoryPlan::of(model, &shape)?;
        let teacher = self.teacher(largest.rows)?;
        // A token, and what follows it if that is learned.
        let bytes = |one: &Example| one.input.bytes() + one.target.bytes();
        let records = self.examples.iter().map(bytes).sum::<usize>() as u64;
        let total = plan.total() + teacher + records + PROGRAM;
        Ok(Fitting {
            micro_batch_tokens: part_tokens,
            side_by_side: largest.side_by_side,
            gradient_checkpointing: checkpointing,
            plan,
            teacher,
            records,
            program: PROGRAM,
            total,
        })
    }

    /// The largest share of any batch.
    fn largest(&self, part_tokens: usize) -> Largest {
        let Request { seed, batch, .. } = *self.request;
        let order = Order::new(seed, self.examples.len(), batch);
        let mut largest = Largest::default();
        for step in 0..order.steps(1.0).min(STEPS) {
            let batch = order.batch(step).into_iter().filter_map(|index| self.examples.get(index));
            largest.take(&Shares::of(batch.collect(), part_tokens));
        }
        largest
    }

    /// A teacher's weights, and its answers beside the model's.
    fn teacher(&self, rows: usize) -> Result<u64> {
        let Some(path) = &self.request.teacher else { return Ok(0) };
        let model = open_with(path, &OpenOptions { tokenizer: false })?.model;
        let none = vec![false; model.graph.weights.len()];
        let weights = edgeformer_backend_candle::learning_bytes(&model, &none)?;
        Ok(weights + 16 * (rows * model.graph.output_width()) as u64)
    }

    fn refusal(&self, least: &Fitting, budget: u64) -> Error {
        let mut text = format!(
            "learning takes {} at least, {} more than the memory budget of {}",
            mebibytes(least.total),
            mebibytes(least.total - budget),
            mebibytes(budget)
        );
        let fitting: Vec<String> = self
            .ways_out(least)
            .into_iter()
            .filter(|(_, total)| *total <= budget)
            .map(|(way, total)| format!("{way} ({})", mebibytes(total)))
            .collect();
        let told = match fitting.is_empty() {
            true => {
                write!(text, "; neither moments in 8 bits, adapters nor shorter records would fit")
            }
            false => write!(text, ": it would fit with {}", fitting.join(", or ")),
        };
        told.expect("a String takes everything");
        Error::Request(text)
    }

    /// Other settings, and what each would take.
    fn ways_out(&self, least: &Fitting) -> Vec<(String, u64)> {
        let mut ways = Vec::new();
        let part_tokens = least.micro_batch_tokens;
        let mut add =
            |name: String, found: Result<u64>| ways.extend(found.ok().map(|total| (name, total)));
        let plan = |request: &Request| {
            let load = Load { request, ..*self };
            load.plan(part_tokens, true).map(|way| way.total)
        };
        if !self.request.optimizer.eight_bit {
            let mut other = self.request.clone();
            other.optimizer.eight_bit = true;
            add("moments in 8 bits (--optim-8bit)".into(), plan(&other));
        }
        for (format, option) in [
            (None, ""),
            (Some(Format::Q8_0), " --base-type q8_0"),
            (Some(Format::Q4_0), " --base-type q4_0"),
        ] {
            let is_lora = matches!(self.request.method, Method::Lora(_));
            if is_lora && (format.is_none() || self.request.base_format.is_some()) {
                continue;
            }
            let method = match &self.request.method {
                Method::Lora(options) => options.clone(),
                _ => LoraOptions::default(),
            };
            add(
                format!("adapters (--method lora{option})"),
                self.adapters(&method, format, part_tokens),
            );
        }
        for share in [2, 4, 8] {
            let longest = self.largest(part_tokens).longest / share;
            let shorter = |largest: Largest| largest.cut(longest);
            let found = self.plan_of(self.model, self.intent, longest, true, shorter);
            add(
                format!("records of {longest} tokens (--ctx-size {longest} --truncate)"),
                found.map(|way| way.total),
            );
        }
        ways
    }

    fn adapters(
        &self,
        options: &LoraOptions,
        format: Option<Format>,
        part_tokens: usize,
    ) -> Result<u64> {
        let model = open_with(&self.request.model, &OpenOptions { tokenizer: false })?.model;
        let (model, _, intent) = base::adapted(&model, options, format, self.request.seed)?;
        let way = self.plan_of(&model, &intent, part_tokens, true, |largest| largest)?;
        Ok(way.total)
    }
}

/// The largest of everything that a share of a batch has.
#[derive(Debug, Clone, Copy, Default)]
struct Largest {
    tokens: usize,
    sequences: usize,
    longest: usize,
    rows: usize,
    shares: usize,
    side_by_side: usize,
}

impl Largest {
    fn take(&mut self, batch: &Shares<'_>) {
        let side_by_side = batch.side_by_side(rayon::current_num_threads());
        self.side_by_side = self.side_by_side.max(side_by_side);
        self.shares = self.shares.max(batch.shares.len());
        batch.shares.iter().for_each(|share| self.take_share(share));
    }

    fn take_share(&mut self, share: &[&Example]) {
        let learned = || share.iter().filter(|one| one.target.count() > 0);
        let tokens = || learned().map(|one| one.input.tokens());
        self.tokens = self.tokens.max(tokens().sum());
        self.sequences = self.sequences.max(learned().count());
        self.longest = self.longest.max(tokens().max().unwrap_or(0));
        self.rows = self.rows.max(learned().map(|one| one.target.rows().len()).sum());
    }

    /// One record of so many tokens.
    fn cut(self, longest: usize) -> Self {
        let tokens = self.tokens.min(longest);
        let rows = self.rows.min(tokens);
        Self { tokens, longest: tokens, sequences: 1, side_by_side: 1, rows, ..self }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
