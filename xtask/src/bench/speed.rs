//! The standard benchmark: `cargo xtask bench` without a further word.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use edgeformer_bench::peers::PEERS;
use edgeformer_bench::speed::{Built, Case, NamedModel, SpeedBench, SpeedReport};
use edgeformer_core::CacheFormat;

use super::device::{Device, DeviceArguments, Remote};
use super::progress::Line;
use super::show::Show;
use super::{STORIES, command, commit, peer, shared, warn_of_packed, worker};
use crate::make_model;
use crate::run::Result;

/// Tokens a second, memory and time to load, beside a peer and the machine's limits.
#[derive(Debug, Args)]
pub struct Speed {
    /// Models: llama-1b, qwen-0.5b, smollm-135m or mla-lite (made under target/models if they are
    /// not there), stories260k of the reference data, GGUF files
    #[arg(long, value_delimiter = ',', default_value = "smollm-135m,qwen-0.5b")]
    models: Vec<String>,
    /// Formats that models are made in
    #[arg(long, value_delimiter = ',', default_value = "f16,q8_0,q4_0,q4_k_m")]
    formats: Vec<String>,
    /// What is timed: ppN (a prompt of N tokens), tgN (N tokens are written), either with @dD
    /// (behind D tokens of context), ppN+tgM (both in one figure)
    /// (default: pp128, pp512, pp2048, tg128, tg32@d2048, tg32@d8192)
    #[arg(long, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Numbers of threads [default: 1 and all cores]
    #[arg(long, value_delimiter = ',')]
    pub threads: Vec<usize>,
    /// How often each is measured
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Who runs interleaved: llama.cpp, candle
    #[arg(long, value_delimiter = ',')]
    peer: Vec<String>,
    /// Backends side by side: cpu, and in the same run onnx (with stock onnxruntime in Python on
    /// the exported file) and candle
    #[arg(long, value_enum, value_delimiter = ',', default_value = "cpu")]
    backend: Vec<Backend>,
    /// For which instruction sets llama.cpp is built
    #[arg(long, value_enum, default_value_t)]
    peer_isa: peer::Isa,
    /// Format of cached keys
    #[arg(long, default_value = "f16", value_parser = cache_format)]
    cache_type_k: CacheFormat,
    /// Format of cached values
    #[arg(long, default_value = "f16", value_parser = cache_format)]
    cache_type_v: CacheFormat,
    /// Tokens that sessions have room for [default: what each case takes]
    #[arg(long)]
    context: Option<usize>,
    /// What charts call this device [default: the CPU's model name]
    #[arg(long)]
    name: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    pub show: Show,
}

/// A backend to lay beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// The SIMD CPU backend: what all others are beside
    Cpu,
    /// ONNX Runtime, through the backend and as it is
    Onnx,
    /// candle
    Candle,
}

impl Backend {
    /// The engines that run it, beside the CPU backend.
    fn engines(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &[],
            Self::Onnx => &["edgeformer/onnx", "onnxruntime"],
            Self::Candle => &["edgeformer/candle"],
        }
    }
}

fn cache_format(name: &str) -> std::result::Result<CacheFormat, String> {
    CacheFormat::from_name(name).ok_or_else(|| {
        let known = CacheFormat::ALL.map(CacheFormat::name).join(", ");
        format!("unknown cache format, known are {known}")
    })
}

impl Speed {
    /// How this task must be built to measure what was asked for.
    pub fn build(&self) -> peer::Build {
        let peers = self.peers();
        let features = PEERS.iter().filter(|(name, _)| peers.iter().any(|peer| peer == name));
        let mut features: Vec<_> = features.map(|(_, feature)| *feature).collect();
        features.dedup();
        peer::Build { features, isa: self.peer_isa }
    }

    /// All engines beside the CPU backend.
    fn peers(&self) -> Vec<String> {
        let backends = self.backend.iter().flat_map(|backend| backend.engines());
        self.peer.iter().cloned().chain(backends.map(|name| name.to_string())).collect()
    }

    /// Measures here; `emulator` is what this program runs under, if it does.
    pub fn run(&self, emulator: Option<&Path>) -> Result<()> {
        let bench = SpeedBench {
            models: self.models()?,
            cases: self.cases(),
            threads: self.threads(),
            repeats: self.repeats,
            peers: self.peers(),
            cache_type_k: self.cache_type_k,
            cache_type_v: self.cache_type_v,
            context: self.context,
        };
        bench.models.iter().for_each(|model| warn_of_packed(&model.path));
        let command = command();
        let worker = worker(emulator)?;
        let peers = peer::versions(&self.peers())?;
        let built = Built { worker: &worker, commit: commit(), command: &command, peers };
        let line = (!self.quiet).then(Line::new);
        let report = bench.run(&built, &|progress| {
            line.iter().for_each(|line| line.show(progress));
        });
        drop(line);
        let mut report = report.map_err(|error| error.to_string())?;
        if let Some(name) = &self.name {
            report.device.name.clone_from(name);
        }
        report.device.emulated = emulator.is_some();
        self.show.speed(&report)
    }

    /// Measures on another device, and shows its figures as if they were from here.
    pub fn run_on(&self, device: &Device, devices: &DeviceArguments) -> Result<()> {
        if !self.peers().is_empty() {
            return Err("peers and other backends are built for this machine: leave --peer and --backend out with --device".into());
        }
        let files: Vec<PathBuf> = self.models()?.into_iter().map(|model| model.path).collect();
        let arguments = |files: &[String]| self.there(files);
        let lines = devices.run(device, &Remote { files: &files, arguments: &arguments })?;
        let reports = SpeedReport::from_json_lines(&lines);
        for mut report in reports.map_err(|error| format!("what the device said: {error}"))? {
            report.command = command();
            // There is no repository there that could tell.
            report.device.commit = commit();
            self.show.speed(&report)?;
        }
        Ok(())
    }

    /// What asks this program on another device the same of these files.
    fn there(&self, files: &[String]) -> Vec<String> {
        let mut words: Vec<String> = ["bench", "--as-built", "--json"].map(str::to_owned).into();
        let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
        add("--models", files.join(","));
        add("--cases", joined(&self.cases()));
        if !self.threads.is_empty() {
            add("--threads", joined(&self.threads));
        }
        add("--repeats", self.repeats.to_string());
        add("--cache-type-k", self.cache_type_k.name().into());
        add("--cache-type-v", self.cache_type_v.name().into());
        self.context.iter().for_each(|context| add("--context", context.to_string()));
        self.name.iter().for_each(|name| add("--name", name.clone()));
        words
    }

    fn cases(&self) -> Vec<Case> {
        if self.cases.is_empty() { Case::STANDARD.into() } else { self.cases.clone() }
    }

    /// Every model in every format; a file is what it is.
    pub fn models(&self) -> Result<Vec<NamedModel>> {
        let mut models = Vec::new();
        for name in &self.models {
            if let Some(path) = self.file(name)? {
                models.push(NamedModel::of(path));
                continue;
            }
            for format in &self.formats {
                let format = format.to_lowercase();
                let path = make_model::kept(name, &format)?;
                models.push(NamedModel { path, name: name.clone(), format: Some(format) });
            }
        }
        Ok(models)
    }

    /// The file that is meant, if it is no name of a model that is made.
    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        let is_file = name.ends_with(".gguf") || Path::new(name).exists();
        match name {
            STORIES => shared("models/stories260k/stories260k-f32.gguf").map(Some),
            name => Ok(is_file.then(|| name.into())),
        }
    }

    fn threads(&self) -> Vec<usize> {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let mut threads = if self.threads.is_empty() { vec![1, all] } else { self.threads.clone() };
        threads.sort_unstable();
        threads.dedup();
        threads
    }
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
