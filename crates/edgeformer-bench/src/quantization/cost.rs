//! What quantizing a model takes: time and memory, beside llama.cpp, each in a process of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use edgeformer::quantize::{MethodName, Mixture, Request, Size, Told, quantize};
use edgeformer::{EngineOptions, available_cores, peak_resident_bytes};
use edgeformer_models::{OpenOptions, open_with};
use serde::{Deserialize, Serialize};

use super::Maker;
use super::run::{PEER, peer_quantizer};
use crate::output::chart::{Bar, Panel, bars};
use crate::output::{Report, Table, bytes, rate, ratio};
use crate::process::{Job, Worker};
use crate::subject::chosen_device;
use crate::{Error, Machine, Progress, Result, Spread};

/// Who quantizes: both with one search, neither with a text.
const MAKERS: [Maker; 2] = [Maker::Peer, Maker::KQuant];

/// A model that is quantized once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostJob {
    /// By whom.
    pub maker: Maker,
    /// A GGUF file in floats.
    pub model: PathBuf,
    /// The mixture, by llama.cpp's name.
    pub format: String,
    /// Threads that round.
    pub threads: usize,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds.
    pub seconds: f64,
    /// The most memory that was resident, where the system tells.
    pub peak_resident_bytes: Option<u64>,
    /// Bytes of the file.
    pub bytes: u64,
}

impl CostJob {
    /// Quantizes into a file that is gone afterwards.
    ///
    /// # Errors
    /// If the model cannot be quantized, or llama.cpp is not in this build.
    pub fn run(&self) -> Result<Cost> {
        let mixture: Mixture = self.format.parse().map_err(edgeformer::Error::from)?;
        let folder = tempfile::tempdir()
            .map_err(|error| Error::Request(format!("no temporary folder: {error}")))?;
        let output = folder.path().join("quantized.gguf");
        let started = Instant::now();
        match self.maker {
            Maker::Peer => {
                let quantize = peer_quantizer()?.quantize;
                quantize(&self.model, &output, mixture.file_type(), None, self.threads)?;
            }
            Maker::KQuant => self.quantize(MethodName::KQuant, mixture, &output)?,
            Maker::Auto => self.quantize(MethodName::Auto, mixture, &output)?,
        }
        let seconds = started.elapsed().as_secs_f64();
        let file = std::fs::metadata(&output).map_err(|error| Error::file(&output, error))?;
        Ok(Cost { seconds, peak_resident_bytes: peak_resident_bytes(), bytes: file.len() })
    }

    fn quantize(&self, method: MethodName, mixture: Mixture, output: &Path) -> Result<()> {
        let request =
            Request { method, ..Request::new(&self.model, output, Size::Mixture(mixture)) };
        let engine = EngineOptions { threads: Some(self.threads), ..EngineOptions::default() };
        Ok(quantize(&request, &engine, Told::default()).map(drop)?)
    }
}

/// A model whose quantizing is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostBench {
    /// A GGUF file in floats.
    pub model: PathBuf,
    /// The formats.
    pub formats: Vec<Mixture>,
    /// How often each is measured, both in turns.
    pub runs: usize,
    /// Threads that round; `None` is all cores.
    pub threads: Option<usize>,
}

/// What one of them took for one format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostRow {
    /// The mixture, by llama.cpp's name.
    pub format: String,
    /// Who quantized.
    pub maker: Maker,
    /// Seconds.
    pub seconds: Spread,
    /// The most memory that was resident in any run, where the system tells.
    pub peak_resident_bytes: Option<u64>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What quantizing a model takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// llama.cpp's version and build.
    pub peer: String,
    /// The model.
    pub model: String,
    /// Its bytes.
    pub model_bytes: u64,
    /// Threads that rounded.
    pub threads: usize,
    /// By format, llama.cpp first.
    pub rows: Vec<CostRow>,
}

impl CostBench {
    /// Measures. `commit` is what was built, `command` what was called, `peer` what llama.cpp's
    /// build is.
    ///
    /// # Errors
    /// If one of the two cannot quantize the model.
    pub fn run(
        &self,
        worker: &Worker,
        commit: Option<String>,
        command: &str,
        peer: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<CostReport> {
        let file = open_with(&self.model, &OpenOptions { tokenizer: false })?;
        let device = chosen_device(&file.model.graph)?;
        drop(file);
        let threads = self.threads.unwrap_or_else(available_cores);
        let model_bytes = read_once(&self.model)?;
        let mut rows = Vec::new();
        let total = self.formats.len() * self.runs * MAKERS.len();
        for (index, mixture) in self.formats.iter().enumerate() {
            let mut costs = [const { Vec::new() }; MAKERS.len()];
            for run in 0..self.runs {
                for (turn, maker) in MAKERS.into_iter().enumerate() {
                    let done = (index * self.runs + run) * MAKERS.len() + turn;
                    let what = format!("{mixture} by {}", maker.name());
                    progress(Progress { done, total, what: &what });
                    let (model, format) = (self.model.clone(), mixture.name().to_owned());
                    let job = Job::Quantize(CostJob { maker, model, format, threads });
                    costs[turn].push(worker.run::<Cost>(&job)?);
                }
            }
            let row = |(maker, costs): (Maker, &Vec<Cost>)| CostRow::of(mixture, maker, costs);
            rows.extend(MAKERS.into_iter().zip(&costs).filter_map(row));
        }
        Ok(CostReport {
            machine: Machine::here(&device, commit),
            command: command.into(),
            peer: format!("{PEER} {peer}"),
            model: self.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            model_bytes,
            threads,
            rows,
        })
    }
}

/// Reads a file, so that the first to be measured finds it in memory as the others do.
fn read_once(path: &Path) -> Result<u64> {
    let read = || std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink());
    read().map_err(|error| Error::file(path, error))
}

impl CostRow {
    fn of(mixture: &Mixture, maker: Maker, costs: &[Cost]) -> Option<Self> {
        let seconds: Vec<f64> = costs.iter().map(|cost| cost.seconds).collect();
        Some(Self {
            format: mixture.name().to_owned(),
            maker,
            seconds: Spread::of(&seconds)?,
            peak_resident_bytes: costs.iter().filter_map(|cost| cost.peak_resident_bytes).max(),
            bytes: costs.first()?.bytes,
        })
    }
}

impl CostReport {
    fn beside(&self, row: &CostRow) -> String {
        let peer = self.rows.iter().find(|peer| {
            peer.maker == Maker::Peer && row.maker != Maker::Peer && peer.format == row.format
        });
        peer.map_or_else(String::new, |peer| ratio(row.seconds.median / peer.seconds.median))
    }
}

impl Report for CostReport {
    fn name(&self) -> &'static str {
        "quantization-cost"
    }

    fn to_markdown(&self) -> String {
        let header = ["format", "by", "s", "to llama.cpp's", "most memory resident", "file"];
        let mut table = Table::new(header);
        for row in &self.rows {
            table.row([
                row.format.clone(),
                row.maker.name().into(),
                rate(&row.seconds),
                self.beside(row),
                row.peak_resident_bytes.map_or_else(String::new, bytes),
                bytes(row.bytes),
            ]);
        }
        format!(
            "{}\n\n`{}`: {}\n\n{} ({}), {} threads, medians of {} runs in turns\n\n{}",
            self.machine.to_line(),
            self.command,
            self.peer,
            self.model,
            bytes(self.model_bytes),
            self.threads,
            self.rows.first().map_or(0, |row| row.seconds.count),
            table.to_markdown()
        )
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let bar = |row: &CostRow| Bar {
            label: format!("{}, {}", row.format, row.maker.name()),
            value: Some(row.seconds.median),
            text: rate(&row.seconds),
        };
        let panel = Panel {
            title: format!("Seconds to quantize {}", self.model),
            bars: self.rows.iter().map(bar).collect(),
        };
        bars("Quantizing", &self.machine.to_line(), &[panel])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(seconds: [f64; 3], peak: u64) -> Vec<Cost> {
        seconds
            .map(|seconds| Cost { seconds, peak_resident_bytes: Some(peak), bytes: 4096 })
            .to_vec()
    }

    #[test]
    fn medians_stand_beside_those_of_the_peer() {
        let row = |maker, costs: &[Cost]| CostRow::of(&Mixture::Q4_0, maker, costs).unwrap();
        let report = CostReport {
            machine: Machine::made_up(),
            command: "cargo xtask bench quantization-cost".into(),
            peer: "llama.cpp".into(),
            model: "toy.gguf".into(),
            model_bytes: 8192,
            threads: 2,
            rows: vec![
                row(Maker::Peer, &costs([2.0, 1.0, 4.0], 3 << 20)),
                row(Maker::KQuant, &costs([3.0, 3.0, 9.0], 1 << 20)),
            ],
        };
        let text = report.to_markdown();
        assert!(text.contains("toy.gguf (8.0 KiB), 2 threads, medians of 3 runs"), "{text}");
        assert!(
            text.contains("| q4_0 | kquant | 3.00 ±100 % | 1.50x | 1.0 MiB | 4.0 KiB |"),
            "{text}"
        );
        assert!(report.to_png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_model_is_quantized_and_measured() {
        let model =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/tiny/tiny-shakespeare.gguf");
        let folder = tempfile::tempdir().unwrap();
        let floats = folder.path().join("f32.gguf");
        let checkpoint = edgeformer_models::checkpoint::Checkpoint::open(&model).unwrap();
        let outtype = edgeformer_models::checkpoint::OutType::F32;
        checkpoint.with_outtype(outtype).write_gguf(&floats).unwrap();
        let job = |format: &str| CostJob {
            maker: Maker::KQuant,
            model: floats.clone(),
            format: format.into(),
            threads: 1,
        };
        let cost = job("q4_0").run().unwrap();
        assert!(cost.bytes < std::fs::metadata(&floats).unwrap().len() / 4);
        assert!(job("q9_k").run().unwrap_err().to_string().contains("unknown mixture"));
    }
}
