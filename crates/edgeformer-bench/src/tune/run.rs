use std::time::Duration;

use edgeformer::EngineOptions;
use edgeformer::tuning::{Meter, Setup, Tune, Tuning, tune};
use edgeformer_models::{OpenOptions, open_with};

use super::{Figures, Kind, TuneReport};
use crate::subject::{ModelChoice, Subject};
use crate::{Machine, Progress, Result};

/// Tokens that are decoded at a time, and tokens before them.
const DECODE: (usize, usize) = (16, 64);

/// A model, and how closely it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneBench {
    /// The model.
    pub model: ModelChoice,
    /// Seconds that tuning may take.
    pub seconds: f64,
    /// How often the sweep measures each setup.
    pub rounds: usize,
    /// Tokens of the sweep's prompts.
    pub prompt: usize,
}

impl TuneBench {
    /// Tunes, then measures every setup. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If the model cannot be opened or does not continue text.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<TuneReport> {
        // For the record alone: its program goes before anything is measured.
        let (machine, record) = {
            let subject = Subject::open(&self.model, false)?;
            (Machine::here(&subject.device, commit), subject.record(&self.model))
        };
        let file = open_with(&self.model.path, &OpenOptions { tokenizer: false })?;
        let options = EngineOptions { threads: self.model.threads, ..EngineOptions::default() };
        let told = |what: &str| progress(Progress { done: 0, total: 1, what });
        let limit = Duration::from_secs_f64(self.seconds);
        let tuning = tune(&file, &options, &Tune { limit, progress: &told })?;

        let (tokens, depth) = DECODE;
        let meter = Meter::open(&file, &options, self.prompt.max(depth + tokens))?;
        let (usual, tuned) = (meter.usual(), tuned(&meter.usual(), &tuning));
        let measure = |kind: Kind, setups: Vec<Setup>| {
            Figures::measure(&meter, kind, setups, (usual, tuned), self.rounds, progress)
        };
        let decode = measure(Kind::Decode { tokens, depth }, Kind::decode_setups(&usual, &tuned))?;
        let prefill = measure(
            Kind::Prefill { tokens: self.prompt },
            Kind::prefill_setups(&usual, &tuned, self.prompt),
        )?;
        Ok(TuneReport {
            machine,
            command: command.into(),
            model: record,
            tuning,
            figures: vec![decode, prefill],
        })
    }
}

/// The usual setup with what tuning chose.
fn tuned(usual: &Setup, tuning: &Tuning) -> Setup {
    let choices = &tuning.choices;
    Setup {
        threads: choices.threads.unwrap_or(usual.threads),
        threads_batch: choices.threads_batch.unwrap_or(usual.threads_batch),
        repack: choices.repack.unwrap_or(usual.repack),
        chunk: choices.chunk.unwrap_or(usual.chunk),
        cache_type: choices.cache_type.unwrap_or(usual.cache_type),
        latent_form: choices.latent_form.unwrap_or(usual.latent_form),
    }
}
