//! Cases in processes of their own: only so does the most memory a process had resident say
//! something of the case.
//!
//! The program that measures starts itself again with a word that makes it call [`serve`]. A job
//! goes to the new process as JSON on standard input, its answer comes back on standard output.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::{QualityJob, SpeedJob};
use crate::limits::ThreadLimits;
use crate::quantization::CostJob;
use crate::speed::CaseJob;
use crate::{Error, Result};

/// What a process of its own is asked to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Speed and memory of a cache.
    Speed(SpeedJob),
    /// What a cache does to what the model says.
    Quality(QualityJob),
    /// One run of the benchmark.
    Case(CaseJob),
    /// A model quantized once.
    Quantize(CostJob),
    /// What the machine can do at most.
    Limits {
        /// Threads that work at the same time.
        threads: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Value),
    Failed(String),
}

impl Job {
    fn run(&self) -> Result<Value> {
        let answer = match self {
            Self::Speed(job) => serde_json::to_value(job.run()?),
            Self::Quality(job) => serde_json::to_value(job.run()?),
            Self::Case(job) => serde_json::to_value(job.run()?),
            Self::Quantize(job) => serde_json::to_value(job.run()?),
            Self::Limits { threads } => serde_json::to_value(ThreadLimits::measure(*threads)?),
        };
        answer.map_err(|error| Error::Process(format!("an answer cannot be written: {error}")))
    }

    /// What its process must find in the environment: candle's threads can be chosen there alone.
    fn environment(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Case(job) => Some(("RAYON_NUM_THREADS", job.setup.threads().to_string())),
            _ => None,
        }
    }
}

/// Reads a job, runs it, writes the answer. What fails while measuring is an answer too.
///
/// # Errors
/// If there is no job to read, or nobody takes the answer.
pub fn serve(input: &mut dyn Read, output: &mut dyn Write) -> Result<()> {
    let wrong = |error: serde_json::Error| Error::Process(format!("no job to run: {error}"));
    let job: Job = serde_json::from_reader(input).map_err(wrong)?;
    let reply = job.run().map_or_else(|error| Reply::Failed(error.to_string()), Reply::Done);
    serde_json::to_writer(output, &reply)
        .map_err(|error| Error::Process(format!("nobody takes the answer: {error}")))
}

/// How a process that calls [`serve`] is started.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Worker {
    /// Runs a job in a process of its own.
    ///
    /// # Errors
    /// What went wrong in it, or that it ended without an answer.
    pub fn run<T: DeserializeOwned>(&self, job: &Job) -> Result<T> {
        let answer = self.answer(job)?;
        serde_json::from_value(answer)
            .map_err(|error| Error::Process(format!("the case's answer is damaged: {error}")))
    }

    fn answer(&self, job: &Job) -> Result<Value> {
        let failed = |problem: String| Error::Process(format!("the case's own process {problem}"));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(job.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let stdin = child.stdin.take().expect("it was asked for");
        // A process that has already ended takes nothing; how it ended says more.
        let _unread = serde_json::to_writer(stdin, job);
        let output = child
            .wait_with_output()
            .map_err(|error| failed(format!("cannot be waited for: {error}")))?;
        if !output.status.success() {
            return Err(failed(format!("ended with {}", output.status)));
        }
        match serde_json::from_slice(&output.stdout) {
            Ok(Reply::Done(answer)) => Ok(answer),
            Ok(Reply::Failed(problem)) => Err(Error::Process(problem)),
            Err(_) => Err(failed("ended without an answer".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelChoice;

    fn job() -> Job {
        let model = ModelChoice { path: "absent.gguf".into(), threads: None };
        let configuration = crate::cache::Configuration::BASELINE;
        Job::Speed(SpeedJob { model, configuration, depth: 4, tokens: vec![1; 8] })
    }

    fn problem(program: &str) -> String {
        let worker = Worker { program: program.into(), arguments: Vec::new() };
        worker.run::<Value>(&job()).unwrap_err().to_string()
    }

    #[test]
    fn failures_of_a_job_are_answers() {
        let mut answer = Vec::new();
        let job = serde_json::to_vec(&job()).unwrap();
        serve(&mut job.as_slice(), &mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(r#"{"failed":"#) && answer.contains("absent.gguf"), "{answer}");
        assert!(serve(&mut &b"{}"[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn processes_that_end_without_an_answer_are_told() {
        assert!(problem("/nowhere/at/all").contains("cannot be started"));
        if cfg!(unix) {
            assert!(problem("true").contains("without an answer"));
            assert!(problem("false").contains("ended with exit status: 1"));
        }
    }
}
