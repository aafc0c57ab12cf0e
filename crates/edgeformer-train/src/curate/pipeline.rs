//! Stage after stage.

use std::collections::BTreeMap;

use serde::Serialize;

use super::contamination::Evaluation;
use super::difficulty::{ifd, losses, prepare, solve};
use super::diversity::{Picked, Picking, Refusal, best, facility_location, k_center};
use super::duplicates::{Compared, Duplicates, duplicates};
use super::judge::{Judge, Models, Watch};
use super::ledger::{Ledger, Verdict};
use super::options::{Method, Options, Rank};
use super::quality::{Chain, Weights};
use super::quota::Groups;
use super::reason::Reason;
use super::validity::Validity;
use crate::data::{Entry, Pool};
use crate::{Error, Result};
use edgeformer_core::random::Random;

/// A pool with what became of each of its records.
#[derive(Debug)]
pub struct Curated<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// What became of each record, by index.
    pub verdicts: Vec<Verdict>,
    /// The stages, in their order.
    pub stages: Vec<Stage>,
}

/// What a stage did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name.
    pub stage: &'static str,
    /// Records that came to it.
    pub records: usize,
    /// Records that it dropped.
    pub dropped: usize,
    /// How many for which reason.
    pub reasons: BTreeMap<&'static str, usize>,
}

impl Curated<'_> {
    /// The records that are kept, in the pool's order.
    pub fn kept(&self) -> impl Iterator<Item = &Entry> {
        let kept = self.verdicts.iter().zip(&self.pool.entries);
        kept.filter(|(verdict, _)| verdict.dropped.is_none()).map(|(_, entry)| entry)
    }
}

/// Chooses among the records of a pool. The same pool, options and models give the same result.
///
/// # Errors
/// If a model is needed and missing, or fails; if an evaluation file cannot be read; if it was
/// stopped.
pub fn curate<'a>(
    pool: &'a Pool,
    options: &Options,
    models: &mut Models<'_>,
    watch: &Watch<'_>,
) -> Result<Curated<'a>> {
    let mut run = Run { ledger: Ledger::of(pool), options, stages: Vec::new(), watch };
    if let Some(validity) = &options.validity {
        run.stage("validity", |run| run.validity(validity))?;
    }
    if let Some(asked) = &options.duplicates {
        run.stage("duplicates", |run| run.duplicates(asked))?;
    }
    if !options.decontaminate.is_empty() {
        run.stage("decontamination", |run| run.decontaminate(&options.decontaminate))?;
    }
    if options.needs_judge() {
        let missing = || Error::Request("these stages need a model that judges".into());
        run.difficulty(&mut **models.judge.as_mut().ok_or_else(missing)?)?;
    }
    if let Some(weights) = &options.quality {
        run.stage("quality", |run| run.quality(weights))?;
    }
    run.stage("selection", |run| run.select(models))?;
    Ok(Curated { pool, verdicts: run.ledger.into_verdicts(), stages: run.stages })
}

struct Run<'a, 'o> {
    ledger: Ledger<'a>,
    options: &'o Options,
    stages: Vec<Stage>,
    watch: &'o Watch<'o>,
}

impl Run<'_, '_> {
    /// Runs a stage and counts what it dropped.
    fn stage(
        &mut self,
        stage: &'static str,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let before = self.ledger.remaining();
        self.ledger.enter(stage);
        work(self)?;
        let mut reasons = BTreeMap::new();
        for &index in &before {
            if let Some((_, reason)) = &self.ledger.verdict(index).dropped {
                *reasons.entry(reason.name()).or_default() += 1;
            }
        }
        let dropped = reasons.values().sum();
        self.stages.push(Stage { stage, records: before.len(), dropped, reasons });
        Ok(())
    }

    fn entries(&self, indices: &[usize]) -> Vec<&Entry> {
        indices.iter().map(|&index| &self.ledger.pool().entries[index]).collect()
    }

    fn validity(&mut self, validity: &Validity) -> Result<()> {
        let remaining = self.ledger.remaining();
        for (done, &index) in remaining.iter().enumerate() {
            self.watch.step("checking records", done, remaining.len())?;
            let reason = validity.check(&self.ledger.pool().entries[index].record);
            reason.into_iter().for_each(|reason| self.ledger.drop(index, reason));
        }
        Ok(())
    }

    fn duplicates(&mut self, asked: &Duplicates) -> Result<()> {
        let remaining = self.ledger.remaining();
        let text = |entry: &Entry| match (asked.compared, entry.record.question()) {
            (Compared::Question, Some(question)) => question,
            _ => entry.record.whole(),
        };
        let texts: Vec<String> = self.entries(&remaining).into_iter().map(text).collect();
        let found = duplicates(&texts, asked, self.options.seed, self.watch)?;
        for (&index, duplicate) in remaining.iter().zip(found) {
            let Some(duplicate) = duplicate else { continue };
            let of = self.ledger.pool().entries[remaining[duplicate.of]].line;
            self.ledger.drop(index, Reason::NearDuplicate { of, jaccard: duplicate.jaccard });
        }
        Ok(())
    }

    fn decontaminate(&mut self, files: &[std::path::PathBuf]) -> Result<()> {
        let remaining = self.ledger.remaining();
        let entries = self.entries(&remaining);
        let questions: Vec<Option<String>> =
            entries.iter().map(|entry| entry.record.question()).collect();
        let wholes: Vec<String> = entries.iter().map(|entry| entry.record.whole()).collect();
        let texts = questions.iter().flatten().chain(&wholes).map(String::as_str);
        let evaluation = Evaluation::read(files, texts)?;
        for (place, &index) in remaining.iter().enumerate() {
            self.watch.step("looking for evaluations", place, remaining.len())?;
            let asked = questions[place].as_deref().and_then(|text| evaluation.overlap(text));
            let Some(overlap) = asked.or_else(|| evaluation.overlap(&wholes[place])) else {
                continue;
            };
            // The name alone: a report must not depend on where the files lie.
            let file = overlap.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.ledger.drop(index, Reason::Contaminated { file, words: overlap.words });
        }
        Ok(())
    }

    fn difficulty(&mut self, judge: &mut dyn Judge) -> Result<()> {
        let options = self.options;
        self.stage("tokens", |run| {
            prepare(&mut run.ledger, judge, run.watch)?;
            run.tokens();
            Ok(())
        })?;
        if options.measures_loss() {
            self.stage("loss", |run| losses(&mut run.ledger, options.loss_band, judge, run.watch))?;
        }
        let measured = (options.selection.rank == Rank::Ifd).then_some(f64::INFINITY);
        if let Some(below) = options.ifd_below.or(measured) {
            self.stage("ifd", |run| ifd(&mut run.ledger, below, judge, run.watch))?;
        }
        if let Some(solved) = &options.solved {
            self.stage("solved", |run| {
                solve(&mut run.ledger, solved, options.seed, judge, run.watch)
            })?;
        }
        judge.rest();
        Ok(())
    }

    fn tokens(&mut self) {
        let Some(validity) = &self.options.validity else { return };
        for index in self.ledger.remaining() {
            let tokens = self.ledger.scores(index).tokens;
            let reason = tokens.and_then(|tokens| validity.check_tokens(tokens));
            reason.into_iter().for_each(|reason| self.ledger.drop(index, reason));
        }
    }

    fn quality(&mut self, weights: &Weights) -> Result<()> {
        let remaining = self.ledger.remaining();
        let answers = self.entries(&remaining).into_iter().map(|entry| entry.record.answer());
        let chains: Vec<Chain> = answers.map(|answer| Chain::of(&answer)).collect();
        for (&index, quality) in remaining.iter().zip(weights.scores(&chains)) {
            self.ledger.verdict(index).scores.quality = Some(quality);
            if let Some(least) = self.options.min_quality.filter(|&least| quality < least) {
                self.ledger.drop(index, Reason::LowQuality { quality, least });
            }
        }
        Ok(())
    }

    fn select(&mut self, models: &mut Models<'_>) -> Result<()> {
        let selection = &self.options.selection;
        let mut candidates = self.ranked();
        let rest =
            candidates.split_off(selection.candidates.unwrap_or(usize::MAX).min(candidates.len()));
        rest.into_iter().for_each(|index| self.ledger.drop(index, Reason::NotChosen));
        let vectors = self.vectors(&candidates, models)?;
        let keep = selection.keep.unwrap_or(candidates.len()).min(candidates.len());
        let entries = self.entries(&candidates);
        let groups = match selection.quota {
            Some(quota) => Groups::by(quota, &entries, keep),
            None => Groups::one(candidates.len()),
        };
        let asked = Picking {
            vectors: &vectors,
            groups: &groups.of,
            room: groups.room.clone(),
            keep,
            max_similarity: selection.max_similarity,
        };
        let tell = |done, all| self.watch.step("choosing", done, all);
        let picked = match selection.method {
            Method::Best | Method::Random => best(asked, &tell)?,
            Method::KCenter => k_center(asked, &tell)?,
            Method::FacilityLocation => facility_location(asked, &tell)?,
        };
        self.settle(&candidates, &picked, &groups);
        Ok(())
    }

    /// The remaining records, the best first.
    fn ranked(&self) -> Vec<usize> {
        let mut ranked = self.ledger.remaining();
        let selection = &self.options.selection;
        let score = |index: usize| {
            let scores = self.ledger.scores(index);
            match selection.rank {
                Rank::Quality => scores.quality,
                Rank::Loss => scores.loss,
                Rank::Ifd => scores.ifd,
            }
            .unwrap_or(f64::NEG_INFINITY)
        };
        if selection.method == Method::Random {
            Random::seeded(self.options.seed).shuffle(&mut ranked);
        } else {
            ranked.sort_by(|&one, &other| score(other).total_cmp(&score(one)));
        }
        ranked
    }

    fn vectors(&self, candidates: &[usize], models: &mut Models<'_>) -> Result<Vec<Vec<f32>>> {
        if !self.options.needs_embedder() {
            return Ok(Vec::new());
        }
        let missing = || Error::Request("diversity needs a model that embeds".into());
        let embedder = models.embedder.as_mut().ok_or_else(missing)?;
        let mut vectors = Vec::with_capacity(candidates.len());
        for (done, entry) in self.entries(candidates).into_iter().enumerate() {
            self.watch.step("embedding", done, candidates.len())?;
            vectors.push(embedder.embed(&entry.record.whole())?);
        }
        vectors.iter_mut().for_each(|vector| normalise(vector));
        if embedder.leans() {
            centre(&mut vectors);
        }
        Ok(vectors)
    }

    fn settle(&mut self, candidates: &[usize], picked: &Picked, groups: &Groups) {
        for (rank, &place) in (1..).zip(&picked.picked) {
            self.ledger.verdict(candidates[place]).rank = Some(rank);
        }
        for (place, refusal) in picked.refusals.iter().enumerate() {
            let reason = match refusal {
                None => continue,
                Some(Refusal::Quota) => {
                    Reason::Quota { group: groups.names[groups.of[place]].clone() }
                }
                Some(Refusal::NotChosen) => Reason::NotChosen,
                &Some(Refusal::TooSimilar { to, cosine }) => Reason::TooSimilar {
                    to: self.ledger.pool().entries[candidates[to]].line,
                    cosine: f64::from(cosine),
                },
            };
            self.ledger.drop(candidates[place], reason);
        }
    }
}

/// Scales to unit length; a zero vector stays, and what is no number counts as nothing.
fn normalise(vector: &mut [f32]) {
    vector.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

/// Takes the mean off vectors of unit length and scales what is left (Mu and Viswanath 2018,
/// "All-but-the-Top", its first step).
fn centre(vectors: &mut [Vec<f32>]) {
    let width = vectors.first().map_or(0, Vec::len);
    let mut mean = vec![0.0f64; width];
    for vector in &*vectors {
        mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= vectors.len() as f64);
    for vector in vectors {
        let values = vector.iter_mut().zip(&mean);
        values.for_each(|(value, mean)| *value = (f64::from(*value) - mean) as f32);
        normalise(vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_lean_are_set_upright() {
        let mut vectors = vec![vec![10.0, 1.0], vec![10.0, -1.0]];
        vectors.iter_mut().for_each(|vector| normalise(vector));
        centre(&mut vectors);
        let cosine: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
        assert!((cosine + 1.0).abs() < 1e-6, "{vectors:?}");
        let mut odd = vec![f32::NAN, 3.0, 4.0];
        normalise(&mut odd);
        assert_eq!(odd, [0.0, 0.6, 0.8]);
        centre(&mut []);
    }
}
