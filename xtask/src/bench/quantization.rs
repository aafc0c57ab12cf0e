use std::path::{Path, PathBuf};

use clap::Args;
use edgeformer_bench::quantization::{Mixture, QuantizationBench, TestModel};

use super::progress::Line;
use super::show::Show;
use super::{STORIES, command, commit, peer, shared};
use crate::run::{Result, root};

/// The model of the repository.
const EMBEDDED: &str = "embedded";
/// All folders of trained models.
const TRAINED: &str = "trained";

/// Quantized files beside those of llama.cpp: size, quality, errors of tensors.
#[derive(Debug, Args)]
pub struct Quantization {
    /// Models: stories260k of the reference data, embedded, trained (all of them), or the name of
    /// a trained one
    #[arg(long, value_delimiter = ',', default_value = "stories260k,embedded,trained")]
    models: Vec<String>,
    /// Formats, by llama.cpp's names
    #[arg(long, value_delimiter = ',', default_value = "q4_k_m,q4_0,q3_k_m,q2_k")]
    formats: Vec<Mixture>,
    /// The folder of trained models [default: target/models/trained, which
    /// scripts/train-small-models makes]
    #[arg(long)]
    trained: Option<PathBuf>,
    /// Windows that are judged by at most
    #[arg(long, default_value_t = 64)]
    chunks: usize,
    /// Windows that are calibrated with at most
    #[arg(long, default_value_t = 128)]
    calibration_chunks: usize,
    /// Threads that compute [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    peer: peer::LlamaCpp,
    #[command(flatten)]
    show: Show,
}

impl Quantization {
    /// How this task must be built: with llama.cpp.
    pub fn build(&self) -> peer::Build {
        self.peer.build()
    }

    pub fn run(&self) -> Result<()> {
        let bench = QuantizationBench {
            models: self.models()?,
            formats: self.formats.clone(),
            chunks: Some(self.chunks),
            calibration_chunks: Some(self.calibration_chunks),
            threads: self.threads,
        };
        let version = self.peer.version()?;
        let line = Line::new();
        let report = bench
            .run(commit(), &command(), &version, &|progress| line.show(progress))
            .map_err(|error| error.to_string())?;
        drop(line);
        self.show.report(&report)
    }

    fn models(&self) -> Result<Vec<TestModel>> {
        let mut models = Vec::new();
        for name in &self.models {
            match name.as_str() {
                STORIES => models.push(stories()?),
                EMBEDDED => models.push(embedded()?),
                TRAINED => models.extend(self.all_trained()?),
                name => models.push(trained(&self.folder().join(name))?),
            }
        }
        Ok(models)
    }

    fn folder(&self) -> PathBuf {
        self.trained.clone().unwrap_or_else(|| root().join("target/models/trained"))
    }

    /// Those that are there; what is not is told.
    fn all_trained(&self) -> Result<Vec<TestModel>> {
        let folder = self.folder();
        let Ok(entries) = std::fs::read_dir(&folder) else {
            eprintln!(
                "{} is not there: scripts/train-small-models makes it, or name one with --trained",
                folder.display()
            );
            return Ok(Vec::new());
        };
        let entries = entries.filter_map(std::result::Result::ok).map(|entry| entry.path());
        let mut folders: Vec<PathBuf> =
            entries.filter(|path| path.join("config.json").is_file()).collect();
        folders.sort();
        folders.iter().map(|folder| trained(folder)).collect()
    }
}

/// Stories are alike: a quarter calibrates, the last half judges.
fn stories() -> Result<TestModel> {
    let text = read(&shared("data/tinystories-sample/tinystories_200k.txt")?)?;
    let (calibration, held_out) = ends(&text, 0.25, 0.5);
    Ok(TestModel {
        name: STORIES.into(),
        path: shared("models/stories260k/stories260k-f32.gguf")?,
        calibration: calibration.into(),
        held_out: held_out.into(),
        is_bound: false,
    })
}

/// The model of the repository has read the first nine tenths.
fn embedded() -> Result<TestModel> {
    let text = read(&shared("data/tinyshakespeare/input.txt")?)?;
    let (calibration, held_out) = ends(&text, 0.9, 0.1);
    Ok(TestModel {
        name: EMBEDDED.into(),
        path: root().join("assets/tiny/tiny-shakespeare.gguf"),
        calibration: calibration.into(),
        held_out: held_out.into(),
        is_bound: false,
    })
}

fn trained(folder: &Path) -> Result<TestModel> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(TestModel {
        name: name.unwrap_or_default(),
        path: folder.to_owned(),
        calibration: read(&folder.join("calibration.txt"))?,
        held_out: read(&folder.join("held-out.txt"))?,
        is_bound: true,
    })
}

/// The first part of a text and the last, whole lines: nothing is in both.
fn ends(text: &str, first: f64, last: f64) -> (&str, &str) {
    let line_at = |share: f64| {
        let at = (text.len() as f64 * share) as usize;
        text.as_bytes()[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |n| at + n)
    };
    (&text[..line_at(first)], text[line_at(1.0 - last)..].trim_start())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_lines_and_share_nothing() {
        let text = "one\ntwo\nthree\nfour\n";
        assert_eq!(ends(text, 0.25, 0.5), ("one\ntwo", "four\n"));
        assert_eq!(ends("äöü\näöü", 0.5, 0.1).0, "äöü");
        assert_eq!(ends("no line", 0.5, 0.5), ("no line", ""));
    }

    #[test]
    fn models_that_are_not_there_are_told() {
        let folder = std::env::temp_dir().join("no-such-folder");
        let problem = trained(&folder).unwrap_err();
        assert!(problem.contains("calibration.txt"), "{problem}");
    }
}
