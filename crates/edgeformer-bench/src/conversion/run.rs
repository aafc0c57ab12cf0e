use edgeformer::EngineOptions;
use edgeformer::attention_conversion::{
    Align, Conversion, ConversionTexts, GqaOptions, Judge, MlaOptions, Weighting,
};
use edgeformer::quantize::Told;
use edgeformer_models::checkpoint::Checkpoint;

use super::report::{ConversionCurves, GroupPoint, LatentPoint, ModelCurve};
use super::sizes::{Latents, Sizes};
use crate::subject::{ModelChoice, Subject, text_name};
use crate::{Error, Machine, Progress, Result};

/// What is converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionBench {
    /// Each with its texts.
    pub models: Vec<ConvertedModel>,
}

/// A model, and the texts that its conversions are calibrated with and measured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedModel {
    /// The model.
    pub model: ModelChoice,
    /// Its texts.
    pub texts: ConversionTexts,
}

/// Ways to weigh errors of latents, and whether the calibration is used: as [`LatentPoint`] has them.
const LATENT_WAYS: [(Weighting, bool); 3] =
    [(Weighting::Plain, false), (Weighting::Inputs, false), (Weighting::Inputs, true)];

/// Ways to make heads alike, as [`GroupPoint`] has them.
const GROUP_WAYS: [Align; 3] = [Align::Plain, Align::Procrustes, Align::Principal];

impl ConversionBench {
    /// Measures. `commit` is what was built, `command` what was called.
    ///
    /// # Errors
    /// If a model cannot be opened or its attention not be converted, or a text is too short.
    pub fn run(
        &self,
        commit: Option<String>,
        command: &str,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<ConversionCurves> {
        let [first, ..] = self.models.as_slice() else {
            return Err(Error::Request("name a model to convert".into()));
        };
        let device = Subject::open(&first.model, false)?.device;
        let curve = |model: &ConvertedModel| model.curve(progress);
        Ok(ConversionCurves {
            machine: Machine::here(&device, commit),
            command: command.into(),
            models: self.models.iter().map(curve).collect::<Result<_>>()?,
        })
    }
}

impl ConvertedModel {
    fn curve(&self, progress: &dyn Fn(Progress<'_>)) -> Result<ModelCurve> {
        let ModelChoice { path, threads } = &self.model;
        let record = Subject::open(&self.model, false)?.record(&self.model);
        let checkpoint = Checkpoint::open(path)?;
        let sizes = Sizes::of(&checkpoint)?;
        let options = EngineOptions { threads: *threads, ..EngineOptions::default() };
        let judge = Judge::open(path, &self.texts, &options, Told::default())?;
        let total = LATENT_WAYS.len() * sizes.latents.len() + GROUP_WAYS.len() * sizes.groups.len();
        let mut judged = Judged {
            name: &record.name,
            checkpoint: &checkpoint,
            judge: &judge,
            done: 0,
            total,
            progress,
        };
        let latents = sizes.latents.iter().map(|size| judged.latents(size));
        let latents = latents.collect::<Result<Vec<_>>>()?;
        let groups = sizes.groups.iter().map(|&groups| judged.groups(groups));
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let before = judge.before();
        let held_out = self.texts.held_out.as_ref();
        Ok(ModelCurve {
            calibrated_with: text_name(&self.texts.calibration),
            measured_on: held_out.map(|text| text_name(text)),
            tokens: before.tokens,
            window: before.ctx_size,
            perplexity: before.perplexity,
            perplexity_error: before.perplexity_error,
            // Two bytes a number, as reports of conversions count.
            cache_bytes: 2 * record.cached_elements,
            model: record,
            latents,
            groups,
        })
    }
}

/// A model that is being converted over and over.
struct Judged<'a> {
    name: &'a str,
    checkpoint: &'a Checkpoint,
    judge: &'a Judge,
    done: usize,
    total: usize,
    progress: &'a dyn Fn(Progress<'_>),
}

impl Judged<'_> {
    fn latents(&mut self, size: &Latents) -> Result<LatentPoint> {
        let &Latents { rope_dims, rank, full_rank } = size;
        let [plain, by_weights, calibrated] = LATENT_WAYS.map(|(weighting, calibrated)| {
            let options = MlaOptions {
                rank: Some(rank),
                rope_dims: Some(rope_dims),
                weighting,
                ..MlaOptions::default()
            };
            self.perplexity(&Conversion::Mla(options), calibrated)
        });
        let (calibrated, cache_bytes) = calibrated?;
        let (plain, by_weights) = (plain?.0, by_weights?.0);
        Ok(LatentPoint { rope_dims, rank, full_rank, cache_bytes, plain, by_weights, calibrated })
    }

    fn groups(&mut self, groups: usize) -> Result<GroupPoint> {
        let [plain, procrustes, principal] = GROUP_WAYS
            .map(|align| self.perplexity(&Conversion::Gqa(GqaOptions { groups, align }), true));
        let (principal, cache_bytes) = principal?;
        let (plain, procrustes) = (plain?.0, procrustes?.0);
        Ok(GroupPoint { groups, cache_bytes, plain, procrustes, principal })
    }

    /// Perplexity after a conversion, and its bytes of cache a token.
    fn perplexity(&mut self, conversion: &Conversion, calibrated: bool) -> Result<(f64, usize)> {
        let what = format!("{}, converted", self.name);
        (self.progress)(Progress { done: self.done, total: self.total, what: &what });
        self.done += 1;
        let calibration = calibrated.then(|| self.judge.calibration());
        let (converted, report) = conversion.apply(self.checkpoint, calibration)?;
        let cost = self.judge.cost_of(&converted, Told::default())?;
        Ok((cost.after.perplexity, report.cache_bytes()[1]))
    }
}
