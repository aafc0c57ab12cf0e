//! From a model's files to a quantized file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use edgeformer_core::Format;
use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_models::hyper::Hyper;
use edgeformer_quantize::job::{self, Options, Recipe, Report};
use edgeformer_quantize::mixture::Mixture;
use edgeformer_quantize::rounding::{Gptq, Method, Objective};
use edgeformer_quantize::transform::awq::{AwqOptions, awq};
use edgeformer_quantize::transform::rotate::{RotateOptions, rotate};
use edgeformer_quantize::transform::smooth::smooth;

use super::Told;
use super::request::{MethodName, Quantized, Request, Size, Tried};
use super::sensitivity::{Sensitivity, sensitivities};
use super::size;
use super::statistics::{Statistics, Texts};
use crate::evaluate::{Activations, Reference, Subject};
use crate::{EngineOptions, Error, ModelSource, Result, available_cores};

/// Windows that sensitivity is measured on, at most.
const SENSITIVITY_WINDOWS: usize = 8;

/// Quantizes a model into a GGUF file, which appears when it is complete.
///
/// Methods that need to run the model (to calibrate, to measure what tensors are worth, to judge)
/// do so with `engine`'s options; its context is the length of windows.
///
/// # Errors
/// If the model cannot be read, or run where that is needed; if a tensor cannot be quantized; if
/// there is no room for the file, or one is there already.
pub fn quantize(request: &Request, engine: &EngineOptions, told: Told<'_>) -> Result<Quantized> {
    let started = Instant::now();
    check(request)?;
    let mut checkpoint = Checkpoint::open(&request.input)?;
    if let Some(seed) = request.rotate {
        rotate(&mut checkpoint, &RotateOptions { seed, ..RotateOptions::default() })?;
    }
    let given = Statistics::given(request)?;
    let measured =
        matches!(request.size, Size::BitsPerWeight(_)) || request.method == MethodName::Auto;
    let runs = measured || !given.suffice(request);
    if runs {
        check_text(&checkpoint, request)?;
    }
    let mut run = Run { request, engine, told, checkpoint, folder: None };
    let (report, calibrated_with, tried) = if runs {
        run.with_model(given)?
    } else {
        let name = request.imatrix.as_deref().map(told_path);
        (run.without_model(given)?, name, Vec::new())
    };
    let seconds = started.elapsed().as_secs_f64();
    Ok(Quantized { report, calibrated_with, tried, seconds })
}

fn told_path(path: &Path) -> String {
    path.display().to_string()
}

fn check(request: &Request) -> Result<()> {
    let wrong = |problem: &str| Err(Error::Request(problem.to_owned()));
    if request.output.exists() && !request.force {
        let output = request.output.display();
        return wrong(&format!("{output} is there already: name another file, or --force"));
    }
    if request.rotate.is_some() && (request.imatrix.is_some() || request.hessians.is_some()) {
        return wrong(
            "--rotate changes what weights read: leave --imatrix and --hessians out and name --text, or nothing",
        );
    }
    if request.method == MethodName::Smooth && request.hessians.is_some() {
        return wrong("smooth changes what weights read and takes no --hessians");
    }
    Ok(())
}

/// Whether the model reads text: that is what it is calibrated and judged with.
fn check_text(checkpoint: &Checkpoint, request: &Request) -> Result<()> {
    let reads = match checkpoint.hyper()? {
        Hyper::Decoder(decoder) if decoder.classes.is_some() => "a classifier predicts no text",
        Hyper::Decoder(_) => return Ok(()),
        Hyper::Encoder(_) => "a text encoder predicts no text",
        Hyper::Vision(_) => "an image model reads no text",
    };
    let asked = match (request.size, request.method) {
        (Size::BitsPerWeight(_), _) => "--target-bpw".to_owned(),
        (_, method) => format!("--method {}", method.name()),
    };
    Err(Error::Request(format!(
        "{asked} runs the model on text, and {reads}: name --format with --method kquant, rtn or \
         hqq, or statistics of its inputs with --imatrix (awq, smooth) and --hessians (gptq)"
    )))
}

/// Quantizing under way.
pub(super) struct Run<'a> {
    pub request: &'a Request,
    pub engine: &'a EngineOptions,
    pub told: Told<'a>,
    pub checkpoint: Checkpoint,
    /// Where what is not the result lies: beside it, and gone in the end.
    folder: Option<tempfile::TempDir>,
}

/// What rounding is done with.
pub(super) struct Ingredients<'a> {
    pub checkpoint: &'a Checkpoint,
    pub statistics: &'a Statistics,
    pub method: Method,
    /// Whether the file says how it was made.
    pub describe: bool,
}

type Outcome = (Report, Option<String>, Vec<Tried>);

impl Run<'_> {
    /// Nothing has to be run: every tensor is read, rounded and written.
    fn without_model(&self, statistics: Statistics) -> Result<Report> {
        let recipe = Recipe::mixture(&self.checkpoint, self.mixture()?, self.has_importance());
        self.fold_and_write(&recipe, statistics)
    }

    /// The result, by the method that was asked for.
    fn fold_and_write(&self, recipe: &Recipe, mut statistics: Statistics) -> Result<Report> {
        let mut checkpoint = self.checkpoint.clone();
        self.fold(&mut checkpoint, &mut statistics, recipe)?;
        let ingredients = Ingredients {
            checkpoint: &checkpoint,
            statistics: &statistics,
            method: method(self.request.method, self.request.clip_search),
            describe: true,
        };
        self.write(&ingredients, recipe, &self.request.output)
    }

    /// Whether llama.cpp would have an importance matrix too: some mixtures are larger with one.
    /// Of text that the model writes itself nobody knows but us.
    fn has_importance(&self) -> bool {
        self.request.imatrix.is_some() || self.request.text.is_some()
    }

    fn mixture(&self) -> Result<Mixture> {
        match self.request.size {
            Size::Mixture(mixture) => Ok(mixture),
            Size::BitsPerWeight(bits) => size::base_of(bits),
        }
    }

    /// The scales of AWQ and SmoothQuant, where the method has them.
    fn fold(
        &self,
        checkpoint: &mut Checkpoint,
        statistics: &mut Statistics,
        recipe: &Recipe,
    ) -> Result<()> {
        let Some(imatrix) = &mut statistics.imatrix else { return Ok(()) };
        match self.request.method {
            MethodName::Awq => {
                let before = checkpoint.clone();
                let round = |name: &str, rows: &[f32], columns: usize, importance: &[f32]| {
                    let format =
                        before.tensor(name).map_or(Format::Q4_0, |tensor| recipe.of(tensor).format);
                    rounded(rows, columns, format, importance)
                };
                awq(checkpoint, imatrix, &AwqOptions::default(), &round)?;
            }
            MethodName::Smooth => {
                smooth(checkpoint, imatrix, self.request.smooth_alpha)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn write(
        &self,
        ingredients: &Ingredients<'_>,
        recipe: &Recipe,
        output: &Path,
    ) -> Result<Report> {
        let options = self.options(ingredients);
        let told = self.told;
        let progress = |tensor: &str, done: u64, all: u64| {
            (told.progress)(&format!("quantizing {tensor}"), done, all);
            match (told.stopped)() {
                true => Err(std::io::Error::other("interrupted: nothing was written")),
                false => Ok(()),
            }
        };
        super::room::check(output, job::size(ingredients.checkpoint, recipe, &options)?)?;
        Ok(job::quantize(ingredients.checkpoint, recipe, &options, output, &progress)?)
    }

    pub(super) fn ingredients<'b>(
        &'b self,
        statistics: &'b Statistics,
        method: Method,
    ) -> Ingredients<'b> {
        Ingredients { checkpoint: &self.checkpoint, statistics, method, describe: true }
    }

    pub(super) fn options<'b>(&self, ingredients: &Ingredients<'b>) -> Options<'b> {
        Options {
            method: ingredients.method,
            imatrix: ingredients.statistics.imatrix.as_ref(),
            hessians: ingredients.statistics.hessians.as_ref(),
            threads: self.engine.threads.unwrap_or_else(available_cores),
            allow_requantize: self.request.allow_requantize,
            allow_nonfinite: self.request.allow_nonfinite,
            describe: ingredients.describe,
        }
    }

    /// Runs the model: to calibrate, to measure sensitivity, to judge.
    fn with_model(&mut self, given: Statistics) -> Result<Outcome> {
        self.check_size()?;
        let source = self.runnable()?;
        let subject = Subject::open(&ModelSource::Path(source), self.engine, Activations::AsUsual)?;
        let texts = Texts::of(&subject, self.request, self.told)?;
        let folder = self.folder()?.join("hessians");
        let recorded = !given.suffice(self.request);
        let statistics = match recorded {
            true => given.record(
                &subject,
                &texts.calibration,
                &texts.name,
                self.request,
                &folder,
                self.told,
            )?,
            false => given,
        };
        let name = match (&self.request.imatrix, recorded) {
            (Some(imatrix), false) => Some(told_path(imatrix)),
            _ => Some(texts.name.clone()),
        };
        let mut reference = Reference::open(&subject, &texts.judged)?;
        let (report, tried) = match self.request.method {
            MethodName::Auto => self.best(&mut reference, &statistics)?,
            _ => (self.as_asked(&mut reference, statistics)?, Vec::new()),
        };
        Ok((report, name, tried))
    }

    /// Before anything is run: whether there are formats that are small enough.
    fn check_size(&self) -> Result<()> {
        let Size::BitsPerWeight(bits) = self.request.size else { return Ok(()) };
        let base = Recipe::mixture(&self.checkpoint, self.mixture()?, false);
        size::check(&self.checkpoint, &base, size::of_bits(&self.checkpoint, bits))
    }

    /// One method, the formats those of the mixture or of measured sensitivity.
    fn as_asked(&self, reference: &mut Reference<'_>, statistics: Statistics) -> Result<Report> {
        let method = method(self.request.method, self.request.clip_search);
        let recipe = {
            let ingredients = self.ingredients(&statistics, method);
            self.recipe(reference, &ingredients)?
        };
        self.fold_and_write(&recipe, statistics)
    }

    pub(super) fn recipe(
        &self,
        reference: &mut Reference<'_>,
        ingredients: &Ingredients<'_>,
    ) -> Result<Recipe> {
        let mixture = self.mixture()?;
        let base = Recipe::mixture(ingredients.checkpoint, mixture, self.has_importance());
        let Size::BitsPerWeight(bits) = self.request.size else { return Ok(base) };
        let budget = size::of_bits(ingredients.checkpoint, bits);
        let found = self.sensitivities(reference, ingredients, &base)?;
        size::allocated(ingredients.checkpoint, &base, &found, budget, &format!("{bits} bpw"))
    }

    pub(super) fn sensitivities(
        &self,
        reference: &mut Reference<'_>,
        ingredients: &Ingredients<'_>,
        base: &Recipe,
    ) -> Result<Vec<Sensitivity>> {
        let tensors: Vec<String> = base.tensors().map(str::to_owned).collect();
        // What a tensor costs is compared among formats: the quick search is as good as the best.
        let options = Options {
            method: Method::KQuant { objective: Objective::default() },
            ..self.options(ingredients)
        };
        sensitivities(reference, &tensors, &options, SENSITIVITY_WINDOWS, self.told)
    }

    /// A GGUF file of the checkpoint: the input itself, or one that is written for a while.
    fn runnable(&mut self) -> Result<PathBuf> {
        let as_it_is = self.request.rotate.is_none() && self.request.input.is_file();
        if as_it_is {
            return Ok(self.request.input.clone());
        }
        let path = self.folder()?.join("float.gguf");
        let bytes = self
            .checkpoint
            .tensors
            .iter()
            .map(|tensor| Ok(tensor.format().tensor_bytes(tensor.shape())? as u64));
        super::room::check(&path, bytes.sum::<edgeformer_core::Result<u64>>()?)?;
        (self.told.progress)("writing the model as it can be run", 0, 1);
        self.checkpoint.write_gguf(&path)?;
        Ok(path)
    }

    fn folder(&mut self) -> Result<&Path> {
        if self.folder.is_none() {
            let output = &self.request.output;
            let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            let made = tempfile::Builder::new().prefix(".edgeformer-").tempdir_in(parent);
            self.folder = Some(made.map_err(|error| {
                Error::Request(format!(
                    "{}: no folder can be made in it: {error}",
                    parent.display()
                ))
            })?);
        }
        Ok(self.folder.as_ref().expect("it was made").path())
    }

    pub(super) fn path_of(&self, index: usize) -> PathBuf {
        let folder = self.folder.as_ref().map_or(Path::new("."), |folder| folder.path());
        folder.join(format!("{index}.gguf"))
    }
}

/// How a method rounds, behind what it changes before.
fn method(name: MethodName, clip_search: bool) -> Method {
    match name {
        MethodName::Rtn => Method::Rtn { clip_search },
        MethodName::Hqq => Method::Hqq,
        MethodName::Gptq => Method::Gptq(Gptq::default()),
        MethodName::KQuant | MethodName::Awq | MethodName::Smooth | MethodName::Auto => {
            Method::KQuant { objective: Objective::default() }
        }
    }
}

/// Rows rounded to a format, as floats again.
fn rounded(
    rows: &[f32],
    columns: usize,
    format: Format,
    importance: &[f32],
) -> edgeformer_quantize::Result<Vec<f32>> {
    use edgeformer_quantize::rounding::{InputStats, round_matrix};
    let stats = InputStats { importance: Some(importance), hessian: None };
    let method = Method::Rtn { clip_search: true };
    let bytes = round_matrix(rows, columns, format, &method, &stats, available_cores())?;
    let mut values = vec![0.0; rows.len()];
    format.dequantize(&bytes, &mut values)?;
    Ok(values)
}
