use std::time::Instant;

use serde::{Deserialize, Serialize};

use edgeformer_core::{
    Input, LatentForm, Outputs, SequenceId, Session, SessionOptions, Span, Step, Want,
};

use crate::cache::read;
use crate::subject::Subject;
use crate::{Error, Progress, Result, Spread};

/// The two forms over spans behind a context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Tokens of context.
    pub context: usize,
    /// Span lengths, ascending.
    pub spans: Vec<SpanFigures>,
    /// From how many query tokens on expanding costs fewer products.
    pub formula: Option<f64>,
    /// From how many on it took less time.
    pub measured: Option<f64>,
}

/// A span of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanFigures {
    /// Query tokens.
    pub tokens: usize,
    /// Seconds of a step in the absorbed form.
    pub absorbed: Spread,
    /// Seconds of a step in the expanded form.
    pub expanded: Spread,
    /// Absorbed by expanded time of the same round, median: above 1, expanding is faster.
    pub ratio: f64,
}

/// Where a ratio that is known at some lengths passes 1 for the first time, on a straight line
/// between its neighbours; the shortest length if it begins above 1.
pub fn crossing(ratios: &[(f64, f64)]) -> Option<f64> {
    let above = ratios.iter().position(|&(_, ratio)| ratio > 1.0)?;
    let (right, high) = ratios[above];
    let Some(&(left, low)) = above.checked_sub(1).and_then(|below| ratios.get(below)) else {
        return Some(right);
    };
    Some(left + (right - left) * (1.0 - low) / (high - low))
}

/// A session of one form behind its context.
struct Form {
    session: Box<dyn Session>,
    sequence: SequenceId,
    outputs: Outputs,
}

impl Form {
    fn new(subject: &Subject, form: LatentForm, context: &[u32], longest: usize) -> Result<Self> {
        let options = SessionOptions {
            context: context.len() + longest,
            chunk: longest.max(1),
            output_rows: 1,
            latent_form: form,
            ..SessionOptions::default()
        };
        let mut session = subject.program.clone().open(&options)?;
        let sequence = session.cache().create()?;
        let mut outputs = Outputs::default();
        read(session.as_mut(), sequence, context, options.chunk, &mut outputs)?;
        Ok(Self { session, sequence, outputs })
    }

    /// Seconds of a step over `tokens`; the context is as before afterwards.
    fn time(&mut self, tokens: &[u32]) -> Result<f64> {
        let before = self.session.cache().len(self.sequence);
        let span = Span { sequence: self.sequence, input: Input::Tokens(tokens), want: Want::Last };
        let start = Instant::now();
        self.session.run(&Step { spans: &[span] }, &mut self.outputs)?;
        let seconds = start.elapsed().as_secs_f64();
        self.session.cache().truncate(self.sequence, before)?;
        Ok(seconds)
    }
}

impl Crossover {
    /// Times both forms in turns, behind the first `context` of `tokens`, over spans of these
    /// lengths, `runs` times each.
    pub(super) fn measure(
        subject: &Subject,
        tokens: &[u32],
        context: usize,
        lengths: &[usize],
        runs: usize,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<Self> {
        let longest = lengths.iter().max().copied().unwrap_or(0);
        if runs == 0 || lengths.contains(&0) || tokens.len() < context + longest {
            return Err(Error::Request("runs, spans and contexts start at 1 token".into()));
        }
        let (context, rest) = tokens.split_at(context);
        let total = 2 + lengths.len() * (runs + 1);
        let step = |done, what: &str| progress(Progress { done, total, what });
        step(0, "reading the context, absorbed");
        let mut absorbed = Form::new(subject, LatentForm::Absorbed, context, longest)?;
        step(1, "reading the context, expanded");
        let mut expanded = Form::new(subject, LatentForm::Expanded, context, longest)?;

        let mut spans = Vec::new();
        for (index, &length) in lengths.iter().enumerate() {
            let span = &rest[..length];
            let mut times: Vec<(f64, f64)> = Vec::new();
            for run in 0..=runs {
                step(2 + index * (runs + 1) + run, &format!("spans of {length} tokens"));
                times.push((absorbed.time(span)?, expanded.time(span)?));
            }
            // The first round warms both up.
            spans.extend(SpanFigures::of(length, &times[1..]));
        }
        let ratios: Vec<_> = spans.iter().map(|span| (span.tokens as f64, span.ratio)).collect();
        let dimensions = super::Dimensions::of(subject.program.graph())?;
        Ok(Self {
            context: context.len(),
            formula: dimensions.crossover(context.len()),
            measured: crossing(&ratios),
            spans,
        })
    }
}

impl SpanFigures {
    /// Of the seconds that both forms took, round by round; `None` of no round.
    fn of(tokens: usize, times: &[(f64, f64)]) -> Option<Self> {
        let spread = |value: fn(&(f64, f64)) -> f64| {
            Spread::of(&times.iter().map(value).collect::<Vec<_>>())
        };
        Some(Self {
            tokens,
            absorbed: spread(|times| times.0)?,
            expanded: spread(|times| times.1)?,
            ratio: spread(|times| times.0 / times.1)?.median,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_lie_between_their_neighbours() {
        let ratios = [(1.0, 0.2), (32.0, 0.5), (128.0, 0.9), (256.0, 1.3), (512.0, 1.8)];
        assert!((crossing(&ratios).unwrap() - 160.0).abs() < 1e-9);
        assert_eq!(crossing(&ratios[..3]), None);
        assert_eq!(crossing(&ratios[3..]), Some(256.0));
        assert_eq!(crossing(&[]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine halved its speed in the second round: the ratio does not notice.
        let figures = SpanFigures::of(8, &[(1.0, 2.0), (2.0, 4.0), (1.0, 2.0)]).unwrap();
        assert_eq!((figures.ratio, figures.absorbed.median), (0.5, 1.0));
        assert_eq!(SpanFigures::of(8, &[]), None);
    }
}
