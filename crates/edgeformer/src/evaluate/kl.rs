use serde::Serialize;

use super::perplexity::exponential;
use super::statistics::clustered;
use super::{
    Control, Divergence, Interval, Reader, Subject, Windows, diverge, quantile, run, wilson,
};
use crate::{Error, Result};

/// How far a model has gone from its reference on a text. Intervals are of 95 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kl {
    /// Kullback-Leibler divergence from the reference, mean over the tokens, in nats.
    pub kl_mean: f64,
    /// Where that mean lies, normal.
    pub kl_mean_ci95: Interval,
    /// What this interval and that of the ratio come from: the spread of `windows` where there are
    /// ten, else that of `tokens`, which are taken as independent and are not.
    pub intervals_from: &'static str,
    /// The divergence that half of the tokens stay below.
    pub kl_median: f64,
    /// That 90 % stay below.
    pub kl_p90: f64,
    /// That 99 % stay below.
    pub kl_p99: f64,
    /// The largest.
    pub kl_max: f64,
    /// Share of the tokens at which both hold the same token for the likeliest.
    pub top1_agreement: f64,
    /// Its Wilson interval, the tokens taken as independent.
    pub top1_agreement_ci95: Interval,
    /// Perplexity of the model.
    pub perplexity: f64,
    /// Its standard error.
    pub perplexity_error: f64,
    /// Perplexity of the reference.
    pub reference_perplexity: f64,
    /// Its standard error.
    pub reference_perplexity_error: f64,
    /// The one by the other.
    pub perplexity_ratio: f64,
    /// Its interval, from the differences token by token.
    pub perplexity_ratio_ci95: Interval,
    /// Change of the right token's probability, mean.
    pub p_change_mean: f64,
    /// Root of the mean of its squares.
    pub p_change_rms: f64,
    /// Tokens that were compared.
    pub tokens: u64,
    /// Windows that were read.
    pub chunks: usize,
    /// Tokens of a window.
    pub ctx_size: usize,
    /// By position in the window.
    pub by_position: Vec<AtPosition>,
}

/// What was measured in a part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtPosition {
    /// The first position.
    pub from: usize,
    /// The last.
    pub to: usize,
    /// Mean divergence.
    pub kl: f64,
    /// Mean negative log-likelihood.
    pub nll: f64,
    /// That of the reference.
    pub reference_nll: f64,
}

impl Kl {
    fn of(records: &[Divergence], windows: &Windows) -> Result<Self> {
        let mut all = Divergence::default();
        records.iter().for_each(|record| all.merge(record));
        let values: Vec<f64> = all.values.iter().copied().map(f64::from).collect();
        let nothing = || Error::Request("no token was scored".into());
        let at = |share| quantile(&values, share).ok_or_else(nothing);
        let (kl_error, by_windows) = clustered(records.iter().map(|record| &record.kl));
        let (excess_error, _) = clustered(records.iter().map(|record| &record.excess));
        let (perplexity, perplexity_error) = exponential(&all.nll);
        let (reference_perplexity, reference_perplexity_error) = exponential(&all.reference_nll);
        let excess = all.excess.mean();
        Ok(Self {
            kl_mean: all.kl.mean(),
            kl_mean_ci95: Interval::normal(all.kl.mean(), kl_error).map(|end| end.max(0.0)),
            intervals_from: if by_windows { "windows" } else { "tokens" },
            kl_median: at(0.5)?,
            kl_p90: at(0.9)?,
            kl_p99: at(0.99)?,
            kl_max: at(1.0)?,
            top1_agreement: all.same_top as f64 / all.tokens() as f64,
            top1_agreement_ci95: wilson(all.same_top, all.tokens()),
            perplexity,
            perplexity_error,
            reference_perplexity,
            reference_perplexity_error,
            perplexity_ratio: excess.exp(),
            perplexity_ratio_ci95: Interval::normal(excess, excess_error).map(f64::exp),
            p_change_mean: all.change.mean(),
            p_change_rms: all.change.root_mean_square(),
            tokens: all.tokens(),
            chunks: records.len(),
            ctx_size: windows.context(),
            by_position: curve(&all, windows.unscored()),
        })
    }
}

fn curve(all: &Divergence, unscored: usize) -> Vec<AtPosition> {
    let part = |(part, position): (usize, &super::Position)| {
        let (from, to) = all.bounds(part);
        AtPosition {
            from: unscored + from,
            to: unscored + to,
            kl: position.kl.mean(),
            nll: position.nll.mean(),
            reference_nll: position.reference_nll.mean(),
        }
    };
    all.positions.iter().enumerate().map(part).collect()
}

/// Compares a model with a reference on a text: both read every window in lockstep.
///
/// # Errors
/// If the vocabularies differ, a session refuses a step, a model computes nonsense, the saved state
/// is of another run, or the run was stopped ([`Error::Interrupted`]).
pub fn compare(
    reference: &Subject,
    candidate: &Subject,
    windows: &Windows,
    control: &Control<'_>,
) -> Result<Kl> {
    candidate.check_vocabulary(reference)?;
    let bound = [
        run::bound("command", "kl"),
        run::bound("--model or way to run it", candidate.identity()),
        run::bound("--reference or way to run it", reference.identity()),
        run::bound("--chunks", &windows.count().to_string()),
        run::bound("text or windows", &run::identity_of(windows)),
    ];
    let mut reference = Reader::open(&reference.program, &reference.session)?;
    let mut candidate = Reader::open(&candidate.program, &candidate.session)?;
    let records = run::each(control, &bound, windows.count(), |index| {
        diverge(&mut reference, &mut candidate, &windows.window(index))
    })?;
    Kl::of(&records, windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_folded_from_windows() {
        let window = |logit: f32, next| {
            let mut of = Divergence::with_room(2);
            of.add(&[0.0, 0.0], &[0.0, 0.0], 0).unwrap();
            of.add(&[0.0, 0.0], &[0.0, logit], next).unwrap();
            of
        };
        let windows = Windows::new(&[0; 20], 5, None).unwrap();
        let records = [window(5.0, 1), window(5.0, 0)];
        let kl = Kl::of(&records, &windows).unwrap();
        let one = f64::from(records[0].values[1]);
        assert_eq!((kl.tokens, kl.top1_agreement, kl.intervals_from), (4, 0.5, "tokens"));
        assert!((kl.kl_mean - one / 2.0).abs() < 1e-7 && kl.kl_max == one && kl.kl_median == 0.0);
        assert_eq!(
            kl.by_position.iter().map(|at| (at.from, at.to)).collect::<Vec<_>>(),
            [(2, 2), (3, 3)]
        );
        assert!(kl.by_position[0].kl == 0.0 && (kl.by_position[1].kl - one).abs() < 1e-6);
        let ratio = kl.perplexity / kl.reference_perplexity;
        assert!((kl.perplexity_ratio - ratio).abs() < 1e-12);
        let Interval { low, high } = kl.perplexity_ratio_ci95;
        assert!(low < ratio && ratio < high);
        assert!(Kl::of(&[], &windows).is_err());
    }
}
