//! All rows, all depths, round robin.

use std::path::PathBuf;

use super::report::{CacheReport, DepthFigures, Outcome, Row, TextFacts};
use super::{Configuration, QualityJob, Speed, SpeedJob};
use crate::process::{Job, Worker};
use crate::subject::{ModelChoice, Subject, text_name};
use crate::{Error, Machine, Progress, Quality, Result};

/// The longest window that texts are cut into if nobody chooses: models that were trained on more
/// are compared as most figures in the literature are.
const LONGEST_WINDOW: usize = 4096;

/// What is to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheBench {
    /// The model.
    pub model: ModelChoice,
    /// The rows. The baseline is measured in any case, and comes first.
    pub configurations: Vec<Configuration>,
    /// Lengths of the prompts at which speed and memory are measured.
    pub depths: Vec<usize>,
    /// Tokens that are decoded behind each.
    pub decode_tokens: usize,
    /// How often speed is measured.
    pub runs: usize,
    /// Texts on which quality is measured; the first is the prompt too.
    pub texts: Vec<PathBuf>,
    /// Tokens of each text that are used.
    pub quality_tokens: usize,
    /// Tokens of a window; `None` is what the model was trained on, at most 4,096.
    pub quality_context: Option<usize>,
}

impl CacheBench {
    /// Measures. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If the model or a text cannot be opened, or nothing is asked for. What a single
    /// configuration cannot do is told in its row.
    pub fn run(
        &self,
        worker: &Worker,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<CacheReport> {
        if self.runs == 0 || self.decode_tokens == 0 || self.depths.contains(&0) {
            return Err(Error::Request("runs, depths and decode tokens start at 1".into()));
        }
        let subject = Subject::open(&self.model, true)?;
        let texts: Vec<Vec<u32>> =
            self.texts.iter().map(|text| subject.tokens_of(text)).collect::<Result<_>>()?;
        let context = self.context(&subject);
        let configurations = self.rows();
        let mut steps = Steps {
            done: 0,
            total: configurations.len() * (self.runs * self.depths.len() + texts.len()),
            progress,
        };
        let cells =
            self.speeds(worker, &configurations, &self.prompt(&subject, &texts), &mut steps);
        let qualities =
            self.qualities(worker, &configurations, &texts, context, &subject, &mut steps);
        let facts = |(path, tokens): (&PathBuf, &Vec<u32>)| TextFacts {
            name: text_name(path),
            tokens: tokens.len().min(self.quality_tokens) / context * context,
            window: context,
        };
        Ok(CacheReport {
            machine: Machine::here(&subject.device, commit),
            command: command.into(),
            model: subject.record(&self.model),
            runs: self.runs,
            decode_tokens: self.decode_tokens,
            depths: self.depths.clone(),
            texts: self.texts.iter().zip(&texts).map(facts).collect(),
            rows: rows(&configurations, &self.depths, &cells, qualities),
        })
    }

    /// The configurations, the baseline in front.
    fn rows(&self) -> Vec<Configuration> {
        let mut rows = vec![Configuration::BASELINE];
        for configuration in &self.configurations {
            if !rows.contains(configuration) {
                rows.push(configuration.clone());
            }
        }
        rows
    }

    fn context(&self, subject: &Subject) -> usize {
        self.quality_context.unwrap_or_else(|| subject.trained_context().min(LONGEST_WINDOW))
    }

    /// Enough tokens for the deepest prompt: the first text over and over, or any tokens.
    fn prompt(&self, subject: &Subject, texts: &[Vec<u32>]) -> Vec<u32> {
        let length = self.depths.iter().max().map_or(0, |depth| depth + self.decode_tokens);
        match texts.first().filter(|text| !text.is_empty()) {
            Some(text) => text.iter().copied().cycle().take(length).collect(),
            None => any_tokens(subject.vocabulary(), length),
        }
    }

    /// By configuration, then by depth.
    fn speeds(
        &self,
        worker: &Worker,
        configurations: &[Configuration],
        prompt: &[u32],
        steps: &mut Steps<'_>,
    ) -> Vec<Vec<Outcome<Vec<Speed>>>> {
        let unmeasured = || vec![Outcome::Measured(Vec::new()); self.depths.len()];
        let mut cells: Vec<_> = configurations.iter().map(|_| unmeasured()).collect();
        for round in 1..=self.runs {
            for (at, &depth) in self.depths.iter().enumerate() {
                for (configuration, cells) in configurations.iter().zip(&mut cells) {
                    steps.step(&format!("{configuration} at {depth}, round {round}"));
                    let Outcome::Measured(speeds) = &mut cells[at] else { continue };
                    let job = SpeedJob {
                        model: self.model.clone(),
                        configuration: configuration.clone(),
                        depth,
                        tokens: prompt[..depth + self.decode_tokens].to_vec(),
                    };
                    match worker.run(&Job::Speed(job)) {
                        Ok(speed) => speeds.push(speed),
                        Err(error) => cells[at] = Outcome::Failed(error.to_string()),
                    }
                }
            }
        }
        cells
    }

    /// By configuration, then by text.
    fn qualities(
        &self,
        worker: &Worker,
        configurations: &[Configuration],
        texts: &[Vec<u32>],
        context: usize,
        subject: &Subject,
        steps: &mut Steps<'_>,
    ) -> Vec<Vec<Outcome<Quality>>> {
        let mut measure = |configuration: &Configuration, text: &Vec<u32>| {
            steps.step(&format!("{configuration}, quality"));
            let job = QualityJob {
                model: self.model.clone(),
                configuration: configuration.clone(),
                tokens: text[..text.len().min(self.quality_tokens)].to_vec(),
                context,
                beginning: subject.beginning(),
            };
            Outcome::from(worker.run(&Job::Quality(job)))
        };
        configurations
            .iter()
            .map(|configuration| texts.iter().map(|text| measure(configuration, text)).collect())
            .collect()
    }
}

fn rows(
    configurations: &[Configuration],
    depths: &[usize],
    cells: &[Vec<Outcome<Vec<Speed>>>],
    qualities: Vec<Vec<Outcome<Quality>>>,
) -> Vec<Row> {
    let row = |((configuration, cells), texts): ((&Configuration, &Vec<_>), _)| Row {
        name: configuration.to_string(),
        configuration: configuration.clone(),
        depths: figures(depths, cells),
        texts,
    };
    let baseline = cells.first().map_or(&[][..], Vec::as_slice);
    let mut rows: Vec<Row> = configurations.iter().zip(cells).zip(qualities).map(row).collect();
    for (row, cells) in rows.iter_mut().zip(cells) {
        for ((figures, speeds), baseline) in row.depths.iter_mut().zip(cells).zip(baseline) {
            if let (
                Outcome::Measured(figures),
                Outcome::Measured(speeds),
                Outcome::Measured(base),
            ) = (figures, speeds, baseline)
            {
                figures.compare(speeds, base);
            }
        }
    }
    rows
}

fn figures(depths: &[usize], cells: &[Outcome<Vec<Speed>>]) -> Vec<Outcome<DepthFigures>> {
    let figures = |(&depth, cell): (&usize, &Outcome<Vec<Speed>>)| match cell {
        Outcome::Failed(problem) => Outcome::Failed(problem.clone()),
        Outcome::Measured(speeds) => DepthFigures::of(depth, speeds)
            .map_or_else(|| Outcome::Failed("it was not measured".into()), Outcome::Measured),
    };
    depths.iter().zip(cells).map(figures).collect()
}

/// Tokens that mean nothing, spread over the vocabulary.
pub(crate) fn any_tokens(vocabulary: usize, count: usize) -> Vec<u32> {
    // A stride of Knuth's multiplicative hash: neighbours differ, no table is needed.
    let token = |index: usize| (index as u64 * 2_654_435_761 % vocabulary.max(1) as u64) as u32;
    (0..count).map(token).collect()
}

struct Steps<'a> {
    done: usize,
    total: usize,
    progress: &'a dyn Fn(Progress<'_>),
}

impl Steps<'_> {
    fn step(&mut self, what: &str) {
        (self.progress)(Progress { done: self.done, total: self.total, what });
        self.done += 1;
    }
}
