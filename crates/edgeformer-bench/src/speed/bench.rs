use std::path::PathBuf;

use edgeformer_core::{CacheFormat, Device, Format};
use edgeformer_models::{OpenOptions, open_with};

use super::figures::Figures;
use super::work::Workload;
use super::{Case, CaseJob, CaseRun, Failure, Row, SpeedReport};
use crate::device::DeviceRecord;
use crate::limits::{Limits, ThreadLimits};
use crate::peers::{Engine, OURS, Setup};
use crate::process::{Job, Worker};
use crate::subject::{ModelChoice, chosen_device};
use crate::{Error, Progress, Result};

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeedBench {
    /// The models.
    pub models: Vec<NamedModel>,
    /// What is timed of each.
    pub cases: Vec<Case>,
    /// Numbers of threads that compute.
    pub threads: Vec<usize>,
    /// How often each is measured.
    pub repeats: usize,
    /// Who runs interleaved.
    pub peers: Vec<String>,
    /// Format of cached keys.
    pub cache_type_k: CacheFormat,
    /// Format of cached values.
    pub cache_type_v: CacheFormat,
    /// Tokens that sessions have room for; `None` is what each case takes.
    pub context: Option<usize>,
}

/// A model and what rows call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedModel {
    /// A GGUF file or a Hugging Face folder.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// The format it was made in; `None` is the one that most of its bytes are in.
    pub format: Option<String>,
}

impl NamedModel {
    /// A file as it is: what `make-model` calls `NAME-FORMAT.gguf` has both in its name.
    pub fn of(path: PathBuf) -> Self {
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let (name, format) = match stem.rsplit_once('-') {
            Some((name, format)) if is_format(format) => (name.into(), Some(format.to_lowercase())),
            _ => (stem, None),
        };
        Self { path, name, format }
    }
}

/// Whether it is the name of a format or of a mixture of several, such as `Q4_K_M`.
fn is_format(name: &str) -> bool {
    let name = name.to_lowercase();
    let mixture = ["_s", "_m", "_l"].into_iter().find_map(|size| name.strip_suffix(size));
    mixture.unwrap_or(&name).parse::<Format>().is_ok()
}

/// What this build is, and how cases are run in processes of their own.
#[derive(Debug, Clone)]
pub struct Built<'a> {
    /// How cases are run.
    pub worker: &'a Worker,
    /// The commit.
    pub commit: Option<String>,
    /// What was called.
    pub command: &'a str,
    /// Versions of the peers, by name.
    pub peers: Vec<(String, String)>,
}

impl SpeedBench {
    /// Measures.
    ///
    /// # Errors
    /// If nothing is asked for, a peer is not built in, a model cannot be opened, or the machine's
    /// limits cannot be measured. What a single case cannot do is told among the failures.
    pub fn run(&self, built: &Built<'_>, progress: &dyn Fn(Progress<'_>)) -> Result<SpeedReport> {
        self.check()?;
        let subjects: Vec<Subject> =
            self.models.iter().map(Subject::open).collect::<Result<_>>()?;
        let mut device = DeviceRecord::here(&subjects[0].device, built.commit.clone());
        device.peers.clone_from(&built.peers);
        let mut run = Run {
            bench: self,
            worker: built.worker,
            isa: device.isa.clone(),
            done: 0,
            total: self.total(),
            progress,
            rows: Vec::new(),
            failures: Vec::new(),
        };
        let limits = run.limits()?;
        for subject in &subjects {
            for threads in &limits.threads {
                self.cases.iter().for_each(|&case| run.case(subject, case, threads));
            }
        }
        let Run { rows, failures, .. } = run;
        Ok(SpeedReport { device, limits, command: built.command.into(), rows, failures })
    }

    fn check(&self) -> Result<()> {
        let empty = |what| Err(Error::Request(format!("there is nothing to measure: no {what}")));
        if self.models.is_empty() {
            return empty("model");
        }
        if self.cases.is_empty() {
            return empty("case");
        }
        if self.threads.is_empty() || self.threads.contains(&0) {
            return empty("threads");
        }
        if self.repeats == 0 {
            return empty("repeats");
        }
        self.peers.iter().try_for_each(|peer| Engine::named(peer).map(drop))
    }

    fn total(&self) -> usize {
        let cells = self.models.len() * self.cases.len() * self.threads.len();
        self.threads.len() + cells * self.repeats * (1 + self.peers.len())
    }
}

/// A model as far as rows tell of it.
struct Subject {
    model: NamedModel,
    format: String,
    bytes: u64,
    chunk: usize,
    work: Workload,
    device: Device,
}

impl Subject {
    fn open(model: &NamedModel) -> Result<Self> {
        let file = open_with(&model.path, &OpenOptions { tokenizer: false })?;
        let work = Workload::of(&file.model)?;
        let most = || work.format().map_or_else(|| "unknown".into(), |format| format.to_string());
        Ok(Self {
            format: model.format.clone().unwrap_or_else(most),
            bytes: file.source.file_len() as u64,
            chunk: edgeformer::usual_chunk(&file.model.graph),
            device: chosen_device(&file.model.graph)?,
            model: model.clone(),
            work,
        })
    }
}

struct Run<'a> {
    bench: &'a SpeedBench,
    worker: &'a Worker,
    isa: String,
    done: usize,
    total: usize,
    progress: &'a dyn Fn(Progress<'_>),
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

impl Run<'_> {
    fn step(&mut self, what: &str) {
        (self.progress)(Progress { done: self.done, total: self.total, what });
        self.done += 1;
    }

    fn limits(&mut self) -> Result<Limits> {
        let mut limits = Limits::default();
        for &threads in &self.bench.threads {
            self.step(&format!("limits of the machine, {threads} threads"));
            let measured: ThreadLimits = self.worker.run(&Job::Limits { threads })?;
            limits.threads.push(measured);
        }
        Ok(limits)
    }

    /// Measures a case: a row for each peer, or one without.
    fn case(&mut self, subject: &Subject, case: Case, limits: &ThreadLimits) {
        let engines: Vec<&str> =
            std::iter::once(OURS).chain(self.bench.peers.iter().map(String::as_str)).collect();
        let mut runs: Vec<Result<Vec<CaseRun>>> = engines.iter().map(|_| Ok(Vec::new())).collect();
        for round in 1..=self.bench.repeats {
            for (engine, runs) in engines.iter().zip(&mut runs) {
                let model = &subject.model.name;
                let threads = limits.threads;
                self.step(&format!("{model} {case}, {threads} threads, {engine}, round {round}"));
                let Ok(done) = runs else { continue };
                match self.worker.run(&Job::Case(self.job(engine, subject, case, threads))) {
                    Ok(run) => done.push(run),
                    Err(error) => *runs = Err(error),
                }
            }
        }
        let mut runs = runs.into_iter();
        let ours = runs.next().expect("the first engine is ours");
        match ours.map(|runs| Figures { runs }) {
            Err(error) => self.failures.push(Failure {
                model: subject.model.name.clone(),
                format: subject.format.clone(),
                case,
                threads: limits.threads,
                problem: error.to_string(),
            }),
            Ok(ours) => {
                let plain = self.row(subject, case, limits, &ours);
                let (limit, each) = self.limit(subject, case, limits).unzip();
                let plain = Row { limit, ..plain }.with_share(each);
                let peers = self.bench.peers.iter().zip(runs);
                let rows: Vec<Row> = peers
                    .map(|(peer, runs)| {
                        let peer_runs = runs.map(|runs| Figures { runs });
                        plain.clone().beside(peer, &ours, peer_runs, each)
                    })
                    .collect();
                self.rows.extend(if rows.is_empty() { vec![plain] } else { rows });
            }
        }
    }

    fn limit(
        &self,
        subject: &Subject,
        case: Case,
        limits: &ThreadLimits,
    ) -> Option<(super::Limit, f64)> {
        let cache = (self.bench.cache_type_k, self.bench.cache_type_v);
        subject.work.limit(case, cache, &self.isa, limits)
    }

    fn job(&self, engine: &str, subject: &Subject, case: Case, threads: usize) -> CaseJob {
        let path = subject.model.path.clone();
        CaseJob {
            engine: engine.into(),
            setup: Setup {
                model: ModelChoice { path, threads: Some(threads) },
                context: self.context(case),
                cache_type_k: self.bench.cache_type_k,
                cache_type_v: self.bench.cache_type_v,
            },
            case,
        }
    }

    fn context(&self, case: Case) -> usize {
        self.bench.context.unwrap_or(0).max(case.context())
    }

    fn row(&self, subject: &Subject, case: Case, limits: &ThreadLimits, ours: &Figures) -> Row {
        let spread = ours.tokens_per_second();
        Row {
            model: subject.model.name.clone(),
            format: subject.format.clone(),
            model_bytes: subject.bytes,
            case,
            threads: limits.threads,
            context: self.context(case),
            chunk: subject.chunk,
            cache_type_k: self.bench.cache_type_k,
            cache_type_v: self.bench.cache_type_v,
            tokens_per_second: spread.median,
            spread,
            peer: None,
            peer_tokens_per_second: None,
            peer_spread: None,
            ratio: None,
            peer_problem: None,
            limit: None,
            share_of_limit: None,
            peer_share_of_limit: None,
            peak_rss_bytes: ours.peak_rss_bytes(),
            peer_peak_rss_bytes: None,
            load_seconds: ours.median(|run| run.load_seconds),
            peer_load_seconds: None,
            time_to_first_token: ours.median(|run| run.time_to_first_token),
            peer_time_to_first_token: None,
            energy_joules: ours.energy_joules(),
            peer_energy_joules: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_may_end_in_a_format() {
        let of = |path: &str| {
            let model = NamedModel::of(path.into());
            (model.name, model.format)
        };
        assert_eq!(of("a/qwen-0.5b-q4_0.gguf"), ("qwen-0.5b".into(), Some("q4_0".into())));
        assert_eq!(of("Tiny-Q4_K_M.gguf"), ("Tiny".into(), Some("q4_k_m".into())));
        assert_eq!(of("qwen-0.5b.gguf"), ("qwen-0.5b".into(), None));
        assert_eq!(of("folder"), ("folder".into(), None));
    }

    #[test]
    fn nothing_to_measure_is_told() {
        let bench = SpeedBench {
            models: vec![NamedModel::of("absent.gguf".into())],
            cases: Case::STANDARD.into(),
            threads: vec![1],
            repeats: 1,
            peers: Vec::new(),
            cache_type_k: CacheFormat::F16,
            cache_type_v: CacheFormat::F16,
            context: None,
        };
        let problem = |bench: &SpeedBench| bench.check().unwrap_err().to_string();
        assert_eq!(bench.total(), 1 + 6);
        assert!(bench.check().is_ok());
        assert!(problem(&SpeedBench { cases: Vec::new(), ..bench.clone() }).contains("no case"));
        assert!(problem(&SpeedBench { threads: vec![0], ..bench.clone() }).contains("no threads"));
        assert!(problem(&SpeedBench { repeats: 0, ..bench.clone() }).contains("no repeats"));
        let peers = vec!["llama.c".into()];
        assert!(problem(&SpeedBench { peers, ..bench }).contains("unknown peer"));
    }
}
