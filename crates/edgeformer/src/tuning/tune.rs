use std::time::{Duration, Instant};

use edgeformer_core::{CacheFormat, LatentForm};
use edgeformer_models::ModelFile;

use super::judge::{LEAST_ROUNDS, Times, best};
use super::{Bench, Choices, Meter, Setup, Trial, Tuning};
use crate::{EngineOptions, Result};

/// Tokens that are timed at most: a whole chunk of the usual size.
const PROMPT: usize = 512;

/// Tokens before those that are timed one by one.
const DEPTH: usize = 64;

/// The same where the cache is in question: reading it has to matter.
const DEPTH_OF_CACHE: usize = 384;

/// Single tokens that are timed at once, at most.
const TOKENS: usize = 32;

/// More rounds make nothing surer.
const MOST_ROUNDS: usize = 15;

/// Prompts that may be timed, the longest that there is time for.
const PROMPTS: [usize; 4] = [PROMPT, 256, 128, 64];

/// How long tuning may take, and whom it tells.
pub struct Tune<'a> {
    /// The time that may pass, loading not counted.
    pub limit: Duration,
    /// Is told which setting is being measured.
    pub progress: &'a dyn Fn(&str),
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Reading a prompt of so many tokens.
    Prefill(usize),
    /// Single tokens behind so many.
    Decode { depth: usize, count: usize },
}

/// A setting, the setups that differ in it, the usual one first, and how they are told.
struct Question {
    setting: &'static str,
    candidates: Vec<(Setup, String)>,
    /// The share of the time until which it has to be answered.
    until: f64,
}

/// Finds out which setup is the fastest for a model, setting by setting; what the options say is
/// not in question. The usual one stays wherever no other is faster beyond noise.
///
/// # Errors
/// If the model writes no text, or a step fails.
pub fn tune(file: &ModelFile, options: &EngineOptions, how: &Tune<'_>) -> Result<Tuning> {
    let options = EngineOptions { tuned: Choices::default(), profile: None, ..options.clone() };
    (how.progress)("loading");
    let meter = Meter::open(file, &options, PROMPT + TOKENS)?;
    let mut tuner = Tuner {
        meter: &meter,
        how,
        start: Instant::now(),
        setup: meter.usual(),
        tuning: Tuning::default(),
    };
    tuner.ask_all(&options)?;
    tuner.tuning.seconds = tuner.start.elapsed().as_secs_f64();
    tuner.tuning.choices = choices(&meter.usual(), &tuner.setup);
    Ok(tuner.tuning)
}

/// What differs from the usual.
fn choices(usual: &Setup, found: &Setup) -> Choices {
    fn changed<T: PartialEq>(usual: T, found: T) -> Option<T> {
        (usual != found).then_some(found)
    }
    let threads = changed(usual.threads, found.threads);
    let batch = changed(usual.threads_batch, found.threads_batch);
    Choices {
        threads,
        // Nothing said would mean as many as for single tokens.
        threads_batch: batch.or(threads.map(|_| found.threads_batch)),
        repack: changed(usual.repack, found.repack),
        chunk: changed(usual.chunk, found.chunk),
        cache_type: changed(usual.cache_type, found.cache_type),
        latent_form: changed(usual.latent_form, found.latent_form),
    }
}

struct Tuner<'a> {
    meter: &'a Meter,
    how: &'a Tune<'a>,
    start: Instant,
    /// The best so far.
    setup: Setup,
    tuning: Tuning,
}

impl Tuner<'_> {
    fn ask_all(&mut self, options: &EngineOptions) -> Result<()> {
        let depth = |depth: usize| depth.min(self.meter.context().saturating_sub(TOKENS)).max(1);
        let (depth, deep) = (depth(DEPTH), depth(DEPTH_OF_CACHE));
        if options.threads.is_none() {
            self.ask_decode(self.threads(0.3), depth)?;
        }
        if options.threads.is_none() && options.threads_batch.is_none() {
            self.ask_prefill(self.threads_batch(0.55), PROMPTS[PROMPTS.len() - 1])?;
        }
        if options.repack {
            self.ask_packing(depth)?;
        }
        if options.chunk.is_none() {
            // Smaller prompts would be one chunk whatever its size.
            self.ask_prefill(self.chunks(0.8), PROMPT)?;
        }
        if options.cache_type_k.is_none() && options.cache_type_v.is_none() {
            self.ask_decode(self.cache_types(0.9), deep)?;
        }
        if self.meter.has_latents() && options.latent_form == LatentForm::Auto {
            self.ask_prefill(self.latent_forms(1.0), PROMPTS[PROMPTS.len() - 1])?;
        }
        Ok(())
    }

    /// Weights stay as the file has them only where that helps prompts and single tokens alike.
    fn ask_packing(&mut self, depth: usize) -> Result<()> {
        self.ask_prefill(self.packings(0.65), PROMPTS[PROMPTS.len() - 1])?;
        if self.setup.repack {
            return Ok(());
        }
        // Half of an answer is none: as usual, unless single tokens say the same.
        self.setup.repack = true;
        self.ask_decode(self.packings(0.7), depth)
    }

    fn packings(&self, until: f64) -> Question {
        let base = self.setup;
        let with = |repack: bool| (Setup { repack, ..base }, repack.to_string());
        Question { setting: "repack", candidates: [true, false].map(with).to_vec(), until }
    }

    fn threads(&self, until: f64) -> Question {
        let usual = self.setup;
        let counts = thread_counts(usual.threads);
        let with = |threads: usize| (Setup { threads, ..usual }, threads.to_string());
        Question { setting: "threads", candidates: counts.into_iter().map(with).collect(), until }
    }

    fn threads_batch(&self, until: f64) -> Question {
        let base = self.setup;
        let counts = thread_counts(base.threads_batch);
        let with = |threads: usize| (Setup { threads_batch: threads, ..base }, threads.to_string());
        let candidates = counts.into_iter().map(with).collect();
        Question { setting: "threads_batch", candidates, until }
    }

    fn chunks(&self, until: f64) -> Question {
        let base = self.setup;
        let smaller = [256, 128].into_iter().filter(|&chunk| chunk < base.chunk);
        let with = |chunk: usize| (Setup { chunk, ..base }, chunk.to_string());
        let candidates = std::iter::once(base.chunk).chain(smaller).map(with).collect();
        Question { setting: "ubatch_size", candidates, until }
    }

    fn cache_types(&self, until: f64) -> Question {
        let base = self.setup;
        // Others are smaller and lose something: that is not for a machine to choose.
        let with =
            |format: CacheFormat| (Setup { cache_type: format, ..base }, format.name().to_owned());
        let candidates = [CacheFormat::F16, CacheFormat::F32].map(with).to_vec();
        Question { setting: "cache_type", candidates, until }
    }

    fn latent_forms(&self, until: f64) -> Question {
        let base = self.setup;
        let with = |form: LatentForm| (Setup { latent_form: form, ..base }, form.name().to_owned());
        let forms = [LatentForm::Auto, LatentForm::Absorbed, LatentForm::Expanded];
        Question { setting: "mla", candidates: forms.map(with).to_vec(), until }
    }

    /// Seconds that are left for a question.
    fn left(&self, question: &Question) -> f64 {
        self.how.limit.as_secs_f64() * question.until - self.start.elapsed().as_secs_f64()
    }

    /// Times single tokens.
    fn ask_decode(&mut self, question: Question, depth: usize) -> Result<()> {
        let Some(mut benches) = self.begin(&question)? else { return Ok(()) };
        // The first run finds cold caches; the second tells how many tokens there is time for.
        let mut seconds = self.time(&mut benches[0], Work::Decode { depth, count: 1 })?;
        if self.left(&question) > 0.0 {
            seconds = self.time(&mut benches[0], Work::Decode { depth, count: 1 })?;
        }
        let rounds = benches.len() as f64 * (LEAST_ROUNDS + 2) as f64;
        let count = (self.left(&question) / rounds / seconds).clamp(1.0, TOKENS as f64) as usize;
        self.compare(question, benches, Work::Decode { depth, count }, seconds * count as f64)
    }

    /// Times prompts of at least so many tokens.
    fn ask_prefill(&mut self, question: Question, least: usize) -> Result<()> {
        let Some(mut benches) = self.begin(&question)? else { return Ok(()) };
        let smallest = PROMPTS[PROMPTS.len() - 1].min(self.meter.context());
        let seconds = self.time(&mut benches[0], Work::Prefill(smallest))?;
        let rounds = benches.len() as f64 * LEAST_ROUNDS as f64;
        let of = |tokens: usize| seconds * tokens as f64 / smallest as f64;
        let fits = |tokens: &usize| of(*tokens) * rounds < self.left(&question);
        let known = PROMPTS.into_iter().filter(|&tokens| tokens <= self.meter.context());
        let tokens = known.filter(|&tokens| tokens >= least).find(fits).unwrap_or(least);
        self.compare(question, benches, Work::Prefill(tokens), of(tokens))
    }

    /// Sessions for all candidates; `None` where there is nothing to choose.
    fn begin(&mut self, question: &Question) -> Result<Option<Vec<Bench>>> {
        if question.candidates.len() < 2 {
            return Ok(None);
        }
        (self.how.progress)(question.setting);
        let benches = question.candidates.iter().map(|(setup, _)| self.meter.bench(setup));
        benches.collect::<Result<_>>().map(Some)
    }

    fn time(&self, bench: &mut Bench, work: Work) -> Result<f64> {
        let time = match work {
            Work::Prefill(tokens) => bench.prefill(tokens)?,
            Work::Decode { depth, count } => bench.decode(depth, count)?,
        };
        Ok(time.as_secs_f64())
    }

    /// Times all candidates in turns, as often as there is time for; the best one is kept.
    /// `seconds` is about what one measurement takes.
    fn compare(
        &mut self,
        question: Question,
        mut benches: Vec<Bench>,
        work: Work,
        seconds: f64,
    ) -> Result<()> {
        let round = seconds * benches.len() as f64;
        let needed = round * LEAST_ROUNDS as f64;
        let left = self.left(&question);
        let setting = question.setting;
        if needed > left {
            self.tuning.skipped.push(format!(
                "{setting}: as usual; measuring takes {needed:.1} s, {:.1} s were left",
                left.max(0.0)
            ));
            return Ok(());
        }
        // Caches and threads of each are warmed once.
        for bench in benches.iter_mut().skip(1) {
            let small = match work {
                Work::Prefill(tokens) => Work::Prefill(tokens.min(32)),
                Work::Decode { depth, .. } => Work::Decode { depth, count: 1 },
            };
            self.time(bench, small)?;
        }
        let mut times = vec![Times::default(); benches.len()];
        let mut rounds = 0;
        while rounds < MOST_ROUNDS && self.left(&question) > round {
            for (bench, times) in benches.iter_mut().zip(&mut times) {
                times.push(self.time(bench, work)?);
            }
            rounds += 1;
        }
        match rounds {
            0 => self.tuning.skipped.push(format!("{setting}: as usual; no time was left")),
            _ => self.decide(question, work, &times),
        }
        Ok(())
    }

    fn decide(&mut self, question: Question, work: Work, times: &[Times]) {
        let chosen = best(times);
        let tokens = match work {
            Work::Prefill(tokens) => tokens,
            Work::Decode { count, .. } => count,
        };
        for (index, ((_, value), times)) in question.candidates.iter().zip(times).enumerate() {
            self.tuning.trials.push(Trial {
                setting: question.setting.into(),
                value: value.clone(),
                tokens_per_second: tokens as f64 / times.median(),
                noise: times.noise(),
                rounds: times.rounds(),
                usual: index == 0,
                chosen: index == chosen,
            });
        }
        self.setup = question.candidates[chosen].0;
    }
}

/// Numbers of threads that are tried, the usual one first.
fn thread_counts(usual: usize) -> Vec<usize> {
    let allowed = std::thread::available_parallelism().map_or(usual, usize::from);
    let mut counts = vec![usual];
    for count in [allowed, usual * 3 / 4, usual / 2, usual / 4, 1] {
        if count > 0 && !counts.contains(&count) {
            counts.push(count);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_begin_with_the_usual_one() {
        let counts = thread_counts(8);
        assert_eq!(counts[0], 8);
        for expected in [6, 4, 2, 1] {
            assert!(counts.contains(&expected), "{counts:?}");
        }
        assert_eq!(thread_counts(1)[0], 1);
    }

    #[test]
    fn only_what_differs_is_chosen() {
        let usual = Setup {
            threads: 4,
            threads_batch: 4,
            repack: true,
            chunk: 512,
            cache_type: CacheFormat::F16,
            latent_form: LatentForm::Auto,
        };
        assert_eq!(choices(&usual, &usual), Choices::default());
        // Prompts keep their threads when single tokens take fewer.
        let fewer = choices(&usual, &Setup { threads: 2, ..usual });
        assert_eq!((fewer.threads, fewer.threads_batch), (Some(2), Some(4)));
        let in_place = choices(&usual, &Setup { repack: false, ..usual });
        assert_eq!(in_place, Choices { repack: Some(false), ..Choices::default() });
        let chunk = choices(&usual, &Setup { chunk: 128, ..usual });
        assert_eq!(chunk, Choices { chunk: Some(128), ..Choices::default() });
    }
}
