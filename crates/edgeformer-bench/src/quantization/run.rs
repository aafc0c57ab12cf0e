use edgeformer::quantize::{Mixture, Told, calibrate};

use super::contest::{Maker, Row};
use super::judge::Judge;
use super::model::TestModel;
use super::promise;
use super::report::{ModelReport, QuantizationReport};
use crate::peers::{Engine, Quantizer};
use crate::subject::chosen_device;
use crate::{Error, Machine, Progress, Result};

/// The engine whose quantizer ours is laid beside.
pub(super) const PEER: &str = "llama.cpp";

/// Models that are quantized by both, into which formats.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizationBench {
    /// The models.
    pub models: Vec<TestModel>,
    /// The formats.
    pub formats: Vec<Mixture>,
    /// Windows that are judged by at most.
    pub chunks: Option<usize>,
    /// Windows that are calibrated with at most, of a text or of what models write.
    pub calibration_chunks: Option<usize>,
    /// Threads that compute; `None` is all cores.
    pub threads: Option<usize>,
}

impl QuantizationBench {
    /// Quantizes and judges. `commit` is what was built, `command` what was called, `peer` what
    /// llama.cpp's build is.
    ///
    /// # Errors
    /// If llama.cpp is not in this build, or one of the two cannot quantize or read a model.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        peer: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<QuantizationReport> {
        let quantizer = peer_quantizer()?;
        let mut steps = Steps { done: 0, total: self.steps(), progress };
        let mut machine = None;
        let mut models = Vec::with_capacity(self.models.len());
        for model in &self.models {
            let (report, device) = self.model(model, &quantizer, &mut steps)?;
            models.push(report);
            machine.get_or_insert(device);
        }
        let nothing = || Error::Request("there is no model to quantize".into());
        let device = machine.ok_or_else(nothing)?;
        Ok(QuantizationReport {
            machine: Machine::here(&device, commit),
            command: command.into(),
            peer: format!("{PEER} {peer}"),
            models,
        })
    }

    fn steps(&self) -> usize {
        let files = self.formats.len() * 2 * Maker::ALL.len();
        let steps =
            |model: &TestModel| files + promise::count(model.is_bound) + super::tensors::COUNT;
        self.models.iter().map(steps).sum()
    }

    fn model(
        &self,
        model: &TestModel,
        peer: &Quantizer,
        steps: &mut Steps<'_>,
    ) -> Result<(ModelReport, edgeformer_core::Device)> {
        let folder = tempfile::tempdir()
            .map_err(|error| Error::Request(format!("no temporary folder: {error}")))?;
        let folder = folder.path();
        let prepared = model.prepare(folder, self.threads, self.chunks, self.calibration_chunks)?;
        let name = [model.name.clone()];
        let calibration =
            calibrate(&prepared.reference, &prepared.calibration, &name, None, Told::default())?;
        let judge = Judge {
            prepared: &prepared,
            peer,
            threads: self.threads(),
            own_chunks: self.calibration_chunks,
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut told = |what: &str| steps.next(&format!("{}: {what}", model.name));
        for &mixture in &self.formats {
            for imatrix in [None, Some(&calibration.imatrix)] {
                for maker in Maker::ALL {
                    told(&format!("{mixture} by {}", maker.name()));
                    rows.push(judge.row(folder, mixture, imatrix, maker)?);
                }
            }
        }
        let promises = judge.promises(folder, model.is_bound, &mut told)?;
        let tensors = judge.tensor_errors(folder, &mut told)?;
        let report = ModelReport {
            name: model.name.clone(),
            context: prepared.judged.context(),
            windows: prepared.judged.count(),
            calibration_windows: prepared.calibration.count(),
            float: judge.figures(&prepared.float)?,
            rows,
            promises,
            tensors,
        };
        Ok((report, chosen_device(&prepared.reference.model().graph)?))
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(edgeformer::available_cores)
    }
}

/// llama.cpp's quantizer, if it is in this build.
pub(super) fn peer_quantizer() -> Result<Quantizer> {
    let quantizer = Engine::named(PEER)?.quantizer;
    quantizer.ok_or_else(|| Error::Request(format!("{PEER} has no quantizer")))
}

/// What is told while it runs.
struct Steps<'a> {
    done: usize,
    total: usize,
    progress: &'a dyn Fn(Progress<'_>),
}

impl Steps<'_> {
    fn next(&mut self, what: &str) {
        (self.progress)(Progress { done: self.done, total: self.total, what });
        self.done += 1;
    }
}
