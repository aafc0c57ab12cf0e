use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::output::chart::{Line, LineChart, lines};
use crate::output::{Report, Table, bytes, ratio};
use crate::subject::ModelRecord;
use crate::{Machine, Result};

/// Perplexity over a text that does not end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// On what it was measured.
    pub machine: Machine,
    /// What was called.
    pub command: String,
    /// The model.
    pub model: ModelRecord,
    /// The text's file.
    pub text: String,
    /// Tokens of it that were read.
    pub tokens: usize,
    /// By policy.
    pub policies: Vec<PolicyFigures>,
}

/// How far one policy came, and how well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyFigures {
    /// The policy.
    pub policy: Policy,
    /// Perplexity, slice by slice; the last one may be shorter.
    pub slices: Vec<Slice>,
    /// Bytes of cache in use at most.
    pub cache_used: u64,
    /// Where it refused to go on.
    pub refused: Option<Refusal>,
    /// Why it broke off.
    pub failed: Option<String>,
}

/// A policy's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The first token that had no room.
    pub token: usize,
    /// What was said.
    pub problem: String,
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The place of its first scored token in the text.
    pub first: usize,
    /// Tokens that were scored.
    pub tokens: usize,
    /// Sum of their negative log probabilities, in nats.
    pub surprise: f64,
}

impl Slice {
    /// An empty slice that begins there.
    pub(super) fn from(first: usize) -> Self {
        Self { first, tokens: 0, surprise: 0.0 }
    }

    /// Perplexity of its tokens.
    pub fn perplexity(&self) -> f64 {
        (self.surprise / self.tokens as f64).exp()
    }
}

impl PolicyFigures {
    /// Perplexity over all that was read.
    pub fn perplexity(&self) -> f64 {
        let mut all = Slice::from(0);
        for slice in &self.slices {
            all.tokens += slice.tokens;
            all.surprise += slice.surprise;
        }
        all.perplexity()
    }

    /// Perplexity of the last full slice as a multiple of the first's: 1 is flat.
    pub fn rise(&self) -> Option<f64> {
        let first = self.slices.first()?;
        let last = self.slices.iter().rfind(|slice| slice.tokens == first.tokens)?;
        (last.first != first.first).then(|| last.perplexity() / first.perplexity())
    }

    fn end(&self) -> String {
        match (&self.refused, &self.failed) {
            (Some(refusal), _) => format!("refused token {}: {}", refusal.token, refusal.problem),
            (None, Some(problem)) => format!("failed: {problem}"),
            (None, None) => "went on".into(),
        }
    }
}

impl StreamReport {
    fn summary(&self) -> Table {
        let columns = [
            "policy",
            "tokens scored",
            "perplexity",
            "last slice to first",
            "cache at most",
            "end",
        ];
        let mut table = Table::new(columns);
        for figures in &self.policies {
            let scored: usize = figures.slices.iter().map(|slice| slice.tokens).sum();
            table.row([
                figures.policy.to_string(),
                scored.to_string(),
                if scored == 0 { "–".into() } else { format!("{:.3}", figures.perplexity()) },
                figures.rise().map_or("–".into(), ratio),
                bytes(figures.cache_used),
                figures.end(),
            ]);
        }
        table
    }

    fn by_slice(&self) -> Table {
        let names = self.policies.iter().map(|figures| figures.policy.to_string());
        let mut table = Table::new(std::iter::once("tokens".to_owned()).chain(names));
        let longest = self.policies.iter().max_by_key(|figures| figures.slices.len());
        let places = longest.map_or(&[][..], |figures| &figures.slices);
        for (index, place) in places.iter().enumerate() {
            let cell = |figures: &PolicyFigures| match figures.slices.get(index) {
                Some(slice) if slice.tokens == place.tokens => format!("{:.3}", slice.perplexity()),
                Some(slice) => format!("{:.3} (of {})", slice.perplexity(), slice.tokens),
                None => "–".into(),
            };
            let range = format!("{} to {}", place.first, place.first + place.tokens - 1);
            table.row(std::iter::once(range).chain(self.policies.iter().map(cell)));
        }
        table
    }
}

impl Report for StreamReport {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n\n", self.machine.to_line(), self.model.to_line());
        writeln!(text, "`{}`: {} tokens of {}.\n", self.command, self.tokens, self.text)
            .expect("a string takes what it is given");
        text + &self.summary().to_markdown() + "\n" + &self.by_slice().to_markdown()
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let line = |figures: &PolicyFigures| Line {
            name: figures.policy.to_string(),
            points: figures
                .slices
                .iter()
                .map(|slice| ((slice.first + slice.tokens / 2) as f64, slice.perplexity()))
                .collect(),
        };
        lines(&LineChart {
            title: format!("A text that does not end: {} on {}", self.model.name, self.text),
            x: "place in the text, tokens".into(),
            y: "perplexity".into(),
            log_x: false,
            lines: self.policies.iter().map(line).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(policy: Policy, perplexities: &[f64], last: usize) -> PolicyFigures {
        let slice = |(index, perplexity): (usize, &f64)| {
            let tokens = if index + 1 == perplexities.len() { last } else { 1000 };
            let surprise = perplexity.ln() * tokens as f64;
            Slice { first: 1 + 1000 * index, tokens, surprise }
        };
        PolicyFigures {
            policy,
            slices: perplexities.iter().enumerate().map(slice).collect(),
            cache_used: 163_840,
            refused: None,
            failed: None,
        }
    }

    #[test]
    fn tables_tell_how_far_each_policy_came() {
        let [sinks, window, refuse, everything] = Policy::all(252, 4);
        let refusal = Refusal { token: 512, problem: "the context is full".into() };
        let refuse = PolicyFigures { refused: Some(refusal), ..figures(refuse, &[4.0], 448) };
        let mut broken = figures(everything, &[], 0);
        broken.failed = Some("no beads left".into());
        let report = StreamReport {
            machine: Machine::made_up(),
            command: "cargo xtask bench stream".into(),
            model: ModelRecord::made_up(),
            text: "tales".into(),
            tokens: 2501,
            policies: vec![
                figures(sinks, &[4.0, 4.1, 4.2], 500),
                figures(window, &[5.0, 50.0, 500.0], 500),
                refuse,
                broken,
            ],
        };
        insta::assert_snapshot!(report.to_markdown());
        let image = image::load_from_memory(&report.to_png().unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (960, 540));
    }
}
