//! `edgeformer curate`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use edgeformer::quantize::Told;
use edgeformer::training::{Answering, ModelEmbedder, ModelJudge};
use edgeformer::{EngineOptions, ModelSource, PackedWeights, SamplingOptions};
use edgeformer_models::atomic::write_atomically;
use edgeformer_train::curate::{
    Curated, Duplicates, Embedder, Judge, Method, Models, Options, Selection, Solved, Stage,
    Validity, Watch, Weights, curate, html, jsonl,
};
use edgeformer_train::data::{Pool, Strictness};
use serde::Serialize;

use crate::args::Curate;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::{Working, watched};

/// Cosine similarity that records of a diverse choice stay below.
const MAX_SIMILARITY: f32 = 0.9;

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    output: &'a Path,
    report: &'a Path,
    page: &'a Path,
    records: usize,
    bad_lines: usize,
    kept: usize,
    stages: &'a [Stage],
}

/// The files that are written.
struct Files {
    output: PathBuf,
    report: PathBuf,
    page: PathBuf,
}

impl From<edgeformer_train::Error> for Failure {
    fn from(error: edgeformer_train::Error) -> Self {
        Self::Engine(error.into())
    }
}

pub fn run(command: &Curate) -> Outcome {
    let files = Files::of(command)?;
    let options = options(command)?;
    let config = command.model.config()?;
    let strictness = if command.strict { Strictness::Strict } else { Strictness::Skip };
    let working = Working::on(format!("reading {}", command.pool.display()), config.quiet);
    let pool = Pool::open(&command.pool, strictness)?;
    drop(working);
    if command.model.model.is_some() && !options.needs_judge() && !options.needs_embedder() {
        eprintln!(
            "warning: no stage asks --model: add --loss, --ifd, --solved or --select k-center"
        );
    }
    let engine = EngineOptions::from(&config);
    let model = ModelSource::from_path(config.model.as_deref());
    let curated =
        watched(config.quiet, |told| chosen(&pool, command, &options, &model, &engine, told))?;
    files.write(&curated)?;
    let summary = Summary {
        output: &files.output,
        report: &files.report,
        page: &files.page,
        records: pool.entries.len(),
        bad_lines: pool.bad.len(),
        kept: curated.kept().count(),
        stages: &curated.stages,
    };
    if command.json {
        return output::show_json(&summary);
    }
    Ok(output::show(&told(&summary))?)
}

/// Opens the models that are needed, and chooses.
fn chosen<'a>(
    pool: &'a Pool,
    command: &Curate,
    options: &Options,
    model: &ModelSource,
    engine: &EngineOptions,
    told: Told<'_>,
) -> edgeformer::Result<Curated<'a>> {
    let mut judge = match options.needs_judge() {
        true => Some(ModelJudge::open(model, engine, answering(command))?),
        false => None,
    };
    let mut embedder = match options.needs_embedder() {
        true => Some(embedder(command, model, engine)?),
        false => None,
    };
    let mut models = Models {
        judge: judge.as_mut().map(|judge| judge as &mut dyn Judge),
        embedder: embedder.as_mut().map(|embedder| embedder as &mut dyn Embedder),
    };
    let watch = Watch { progress: told.progress, stopped: told.stopped };
    Ok(curate(pool, options, &mut models, &watch)?)
}

fn embedder(
    command: &Curate,
    model: &ModelSource,
    engine: &EngineOptions,
) -> edgeformer::Result<ModelEmbedder> {
    let (asked, mut engine) = (&command.selection, engine.clone());
    let Some(path) = asked.embedding_model.as_deref() else {
        return ModelEmbedder::open(model, &engine, asked.pooling);
    };
    // What was said of the other model's context and packed weights is not said of this one's.
    engine.context = None;
    if let PackedWeights::File(_) = engine.packed {
        engine.packed = PackedWeights::Beside;
    }
    ModelEmbedder::open(&ModelSource::Path(path.to_owned()), &engine, asked.pooling)
}

fn options(command: &Curate) -> Result<Options, Failure> {
    let (difficulty, quality) = (&command.difficulty, &command.quality);
    let solved = difficulty.solved.map(|(least, most)| Solved {
        samples: difficulty.samples,
        right: least..=most,
        check: difficulty.check.clone(),
    });
    if let Some(solved) = solved.as_ref().filter(|solved| *solved.right.start() > solved.samples) {
        return Err(Failure::Usage(format!(
            "--solved wants at least {} right answers of {}: raise --samples",
            solved.right.start(),
            solved.samples
        )));
    }
    Ok(Options {
        seed: command.seed,
        validity: validity(command),
        duplicates: duplicates(command),
        decontaminate: command.validity.decontaminate.clone(),
        loss: difficulty.loss,
        loss_band: difficulty.loss_band,
        ifd_below: difficulty.ifd,
        solved,
        quality: (!quality.no_quality)
            .then(|| quality.quality_weights.unwrap_or_else(Weights::default)),
        min_quality: quality.min_quality,
        selection: selection(command),
    })
}

fn validity(command: &Curate) -> Option<Validity> {
    let (asked, usual) = (&command.validity, Validity::default());
    (!asked.no_validity).then(|| Validity {
        min_chars: asked.min_chars.unwrap_or(usual.min_chars),
        max_chars: asked.max_chars.unwrap_or(usual.max_chars),
        min_tokens: asked.min_tokens,
        max_tokens: asked.max_tokens,
        max_repetition: asked.max_repetition.unwrap_or(usual.max_repetition),
    })
}

fn duplicates(command: &Curate) -> Option<Duplicates> {
    let (asked, usual) = (&command.validity, Duplicates::default());
    (!asked.no_duplicates).then(|| Duplicates {
        threshold: asked.jaccard.unwrap_or(usual.threshold),
        shingle: asked.shingle,
        compared: asked.duplicates_by.map_or(usual.compared, Into::into),
    })
}

fn selection(command: &Curate) -> Selection {
    let asked = &command.selection;
    let method = Method::from(asked.select);
    let diverse = matches!(method, Method::KCenter | Method::FacilityLocation);
    let named = asked.max_similarity.map(|most| most as f32);
    Selection {
        keep: command.keep,
        method,
        rank: asked.rank.into(),
        candidates: asked.candidates,
        max_similarity: named.or(diverse.then_some(MAX_SIMILARITY)),
        quota: asked.quota,
    }
}

fn answering(command: &Curate) -> Answering {
    let (asked, mut answering) = (&command.difficulty, Answering::default());
    answering.max_tokens = asked.answer_tokens;
    if let Some(temperature) = asked.temperature {
        let temperature = temperature as f32;
        answering.sampling = SamplingOptions { temperature, ..answering.sampling };
    }
    if !asked.stop.is_empty() {
        answering.stop.clone_from(&asked.stop);
    }
    answering
}

impl Files {
    /// Where results go, if nothing stands there or it may be replaced.
    fn of(command: &Curate) -> Result<Self, Failure> {
        let output = command.output.clone();
        let beside = |ending: &str| {
            let mut name = output.file_stem().unwrap_or_default().to_owned();
            name.push(ending);
            output.with_file_name(name)
        };
        let files = Self {
            report: beside(".report.jsonl"),
            page: beside(".report.html"),
            output: output.clone(),
        };
        let all = [&files.output, &files.report, &files.page];
        if all.iter().any(|file| is_same(file, &command.pool)) {
            let pool = command.pool.display();
            return Err(Failure::Usage(format!("{pool} is the pool: name another file to write")));
        }
        if let Some(file) = all.into_iter().find(|file| file.is_file() && !command.force) {
            let file = file.display();
            return Err(Failure::Failed(format!(
                "{file} is there already: name another file, or --force"
            )));
        }
        Ok(files)
    }

    fn write(&self, curated: &Curated<'_>) -> Outcome {
        write_atomically(&self.output, |out| {
            curated.kept().try_for_each(|entry| {
                out.write_all(entry.raw.as_bytes())?;
                out.write_all(b"\n")
            })
        })?;
        write_atomically(&self.report, |out| jsonl(curated, out))?;
        write_atomically(&self.page, |out| out.write_all(html(curated).as_bytes()))?;
        Ok(())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || found(one).is_some_and(|one| found(other) == Some(one))
}

fn told(summary: &Summary<'_>) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    let Summary { records, bad_lines, kept, .. } = summary;
    line(format!("{}: {kept} of {} lines kept", summary.output.display(), records + bad_lines));
    if *bad_lines > 0 {
        line(format!("  {:<16}{bad_lines} dropped: no_record {bad_lines}", "reading"));
    }
    for stage in summary.stages {
        let reasons: Vec<String> =
            stage.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        line(format!("  {:<16}{} dropped{reasons}", stage.stage, stage.dropped));
    }
    line(format!("why: {} and {}", summary.report.display(), summary.page.display()));
    text
}
