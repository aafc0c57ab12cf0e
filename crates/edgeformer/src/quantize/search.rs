//! `--method auto`: several ways are tried, and the best of that size is kept.

use std::path::{Path, PathBuf};

use edgeformer_quantize::job::{Recipe, Report};
use edgeformer_quantize::rounding::{Gptq, Method, Objective, Order};

use super::request::{Size, Tried};
use super::run::{Ingredients, Run};
use super::size;
use super::statistics::Statistics;
use crate::evaluate::{Activations, Divergence, Reader, Reference, Subject};
use crate::{Error, ModelSource, Result};

/// What is tried.
struct Way {
    what: String,
    recipe: Recipe,
    method: Method,
    /// Whether the file says how it was made. One in the formats of a mixture has no room for that:
    /// it would be larger than llama.cpp's.
    describe: bool,
}

/// The best file so far.
struct Best {
    path: PathBuf,
    report: Report,
    kl_mean: f64,
}

impl Run<'_> {
    /// Tries ways and keeps the best.
    pub(super) fn best(
        &self,
        reference: &mut Reference<'_>,
        statistics: &Statistics,
    ) -> Result<(Report, Vec<Tried>)> {
        let kquant = Method::KQuant { objective: Objective::default() };
        let base = self.recipe(reference, &self.ingredients(statistics, kquant))?;
        let mut best: Option<Best> = None;
        let mut tried = Vec::new();
        for (index, way) in self.ways(reference, statistics, base)?.into_iter().enumerate() {
            let path = self.path_of(index);
            let describe = way.describe;
            let ingredients = Ingredients { describe, ..self.ingredients(statistics, way.method) };
            let mut report = self.write(&ingredients, &way.recipe, &path)?;
            let kl_mean = self.divergence(reference, &path)?;
            tried.push(Tried { what: way.what, bytes: report.bytes, kl_mean });
            report.file = self.request.output.clone();
            let this = Best { path, report, kl_mean };
            let worse = match &best {
                Some(best) if best.kl_mean <= this.kl_mean => Some(this),
                _ => best.replace(this),
            };
            worse.map_or(Ok(()), |worse| remove(&worse.path))?;
        }
        let best = best.ok_or_else(|| Error::Request("nothing was tried".into()))?;
        std::fs::rename(&best.path, &self.request.output)
            .map_err(|error| Error::Request(format!("{}: {error}", best.path.display())))?;
        Ok((best.report, tried))
    }

    fn ways(
        &self,
        reference: &mut Reference<'_>,
        statistics: &Statistics,
        base: Recipe,
    ) -> Result<Vec<Way>> {
        let kquant = Method::KQuant { objective: Objective::default() };
        let gptq = Method::Gptq(Gptq::default());
        let by_activation = Method::Gptq(Gptq { order: Order::Activation, ..Gptq::default() });
        let is_mixture = matches!(self.request.size, Size::Mixture(_));
        let way = |what: &str, recipe: &Recipe, method| Way {
            what: what.to_owned(),
            recipe: recipe.clone(),
            method,
            describe: !is_mixture || *recipe != base,
        };
        let mut ways = vec![way("kquant", &base, kquant), way("gptq", &base, gptq)];
        let mut last = base.clone();
        if let Size::Mixture(mixture) = self.request.size
            && !mixture.base().is_float()
        {
            let ingredients = self.ingredients(statistics, gptq);
            let budget = size::of_file(&self.checkpoint, &base, &self.options(&ingredients))?;
            let found = self.sensitivities(reference, &ingredients, &base)?;
            let name = format!("{mixture}, formats by sensitivity");
            last = size::allocated(&self.checkpoint, &base, &found, budget, &name)?;
            if last != base {
                ways.push(way("gptq, formats by sensitivity", &last, gptq));
            }
        }
        let what = match last == base {
            true => "gptq by activation",
            false => "gptq by activation, formats by sensitivity",
        };
        ways.push(way(what, &last, by_activation));
        Ok(ways)
    }

    fn divergence(&self, reference: &mut Reference<'_>, path: &Path) -> Result<f64> {
        let source = ModelSource::Path(path.to_owned());
        let candidate = Subject::open(&source, self.engine, Activations::AsUsual)?;
        candidate.check_vocabulary(reference.subject)?;
        let mut candidate = Reader::open(&candidate.program, &candidate.session)?;
        let mut sum = Divergence::default();
        for index in 0..reference.windows() {
            self.told.go_on()?;
            (self.told.progress)("judging", index as u64, reference.windows() as u64);
            sum.merge(&reference.diverge(&mut candidate, index)?);
        }
        Ok(sum.kl.mean())
    }
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path)
        .map_err(|error| Error::Request(format!("{}: {error}", path.display())))
}
