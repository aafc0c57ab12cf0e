//! Stock ONNX Runtime in Python, on the file that `edgeformer export --onnx` writes: what the ONNX
//! backend is measured against.
//!
//! The scores of every row of a prompt are computed, as such files do. Keys and values are cached in
//! f32. Memory is that of this process, which waits, not of Python.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use edgeformer_models::{OpenOptions, open_with};

use super::{Body, Engine, Runner, Setup};
use crate::{Error, Result};

pub(super) const ENGINE: Engine = Engine { name: "onnxruntime", build: None, quantizer: None, run };

const PROGRAM: &str = include_str!("stock_onnxruntime.py");

fn run(setup: &Setup, body: Body<'_>) -> Result<()> {
    let model = exported(&setup.model.path)?;
    let folder = tempfile::tempdir().map_err(|error| Error::file(Path::new("tempdir"), error))?;
    // Not named as the module that it imports.
    let program = folder.path().join("stock_onnxruntime.py");
    fs::write(&program, PROGRAM).map_err(|error| Error::file(&program, error))?;
    body(&mut Python::start(&program, &model, setup.threads())?)
}

/// The model as a `.onnx` file beside it, written unless it is there and newer.
fn exported(model: &Path) -> Result<PathBuf> {
    let file = model.with_extension("onnx");
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    if changed(&file) < changed(model) {
        let opened = open_with(model, &OpenOptions { tokenizer: false })?;
        edgeformer_backend_onnx::export(&opened.model, &file, true)?;
    }
    Ok(file)
}

/// A model in a process of Python.
struct Python {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    vocabulary: usize,
}

impl Python {
    fn start(program: &Path, model: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new("python3");
        command.arg(program).arg(model).arg(threads.to_string());
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.map_err(|error| problem(&format!("python3: {error}")))?;
        let to = process.stdin.take();
        let from = process.stdout.take().map(BufReader::new);
        let from = from.ok_or_else(|| problem("python3 has no standard output"))?;
        let mut python = Self { process, to, from, vocabulary: 0 };
        let line = python.answer()?;
        let vocabulary = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
        python.vocabulary = vocabulary.ok_or_else(|| problem(&format!("it says {line:?}")))?;
        Ok(python)
    }

    fn ask(&mut self, line: &str) -> Result<()> {
        let to = self.to.as_mut().ok_or_else(|| problem("python3 has no standard input"))?;
        writeln!(to, "{line}").map_err(|error| problem(&error.to_string()))?;
        self.answer().map(drop)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Err(problem(
                "Python ended: `pip install onnxruntime numpy` brings what it needs; its own words are above",
            )),
            Ok(_) => Ok(line),
            Err(error) => Err(problem(&error.to_string())),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // Its input ends, and with it its loop.
        self.to = None;
        let _its_end_says_nothing = self.process.wait();
    }
}

impl Runner for Python {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn clear(&mut self) -> Result<()> {
        self.ask("clear")
    }

    fn read(&mut self, tokens: &[u32]) -> Result<()> {
        let words: Vec<String> = tokens.iter().map(u32::to_string).collect();
        self.ask(&words.join(" "))
    }
}

fn problem(what: &str) -> Error {
    Error::Request(format!("onnxruntime: {what}"))
}
