//! From runs to the figures of a row.

use super::{CaseRun, Row};
use crate::{Result, Spread};

/// Runs of one case by one engine: at least one.
pub(super) struct Figures {
    pub runs: Vec<CaseRun>,
}

impl Figures {
    pub fn tokens_per_second(&self) -> Spread {
        self.spread(|run| run.tokens_per_second)
    }

    pub fn median(&self, value: fn(&CaseRun) -> f64) -> f64 {
        self.spread(value).median
    }

    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.known(|run| run.peak_rss_bytes.map(|bytes| bytes as f64)).map(|bytes| bytes as u64)
    }

    pub fn energy_joules(&self) -> Option<f64> {
        self.known(|run| run.energy_joules)
    }

    fn spread(&self, value: fn(&CaseRun) -> f64) -> Spread {
        let values: Vec<f64> = self.runs.iter().map(value).collect();
        Spread::of(&values).expect("every case has at least one run")
    }

    /// The median of what the system may not tell.
    fn known(&self, value: fn(&CaseRun) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.runs.iter().map(value).collect();
        Spread::of(&values?).map(|spread| spread.median)
    }
}

impl Row {
    /// Adds the share of the limit, of which a token takes `each`.
    pub(super) fn with_share(self, each: Option<f64>) -> Self {
        let share_of_limit = self.share(self.tokens_per_second, each);
        Self { share_of_limit, ..self }
    }

    /// Adds what a peer did in the same rounds.
    pub(super) fn beside(
        self,
        peer: &str,
        ours: &Figures,
        theirs: Result<Figures>,
        each: Option<f64>,
    ) -> Self {
        let peer = Some(peer.to_owned());
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(error) => return Self { peer, peer_problem: Some(error.to_string()), ..self },
        };
        let spread = theirs.tokens_per_second();
        let rounds = ours.runs.iter().zip(&theirs.runs);
        let ratios: Vec<f64> = rounds
            .map(|(ours, theirs)| ours.tokens_per_second / theirs.tokens_per_second)
            .collect();
        Self {
            peer,
            peer_tokens_per_second: Some(spread.median),
            peer_spread: Some(spread),
            ratio: Spread::of(&ratios).map(|ratios| ratios.median),
            peer_share_of_limit: self.share(spread.median, each),
            peer_peak_rss_bytes: theirs.peak_rss_bytes(),
            peer_load_seconds: Some(theirs.median(|run| run.load_seconds)),
            peer_time_to_first_token: Some(theirs.median(|run| run.time_to_first_token)),
            peer_energy_joules: theirs.energy_joules(),
            ..self
        }
    }

    fn share(&self, tokens_per_second: f64, each: Option<f64>) -> Option<f64> {
        let limit = self.limit.as_ref().filter(|limit| limit.value > 0.0)?;
        Some(tokens_per_second * each? / (limit.value * 1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn runs(speeds: &[f64]) -> Figures {
        let run = |&tokens_per_second: &f64| CaseRun {
            tokens_per_second,
            load_seconds: 1.0 / tokens_per_second,
            time_to_first_token: 1.0,
            peak_rss_bytes: Some(tokens_per_second as u64),
            energy_joules: None,
        };
        Figures { runs: speeds.iter().map(run).collect() }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // A machine that slows down: both are hit, and the ratio of every round is 2.
        let (ours, theirs) = (runs(&[200.0, 100.0, 50.0]), runs(&[100.0, 50.0, 25.0]));
        let row = Row::made_up().beside("p", &ours, Ok(theirs), Some(1e9));
        assert_eq!((row.ratio, row.peer_tokens_per_second), (Some(2.0), Some(50.0)));
        assert_eq!(row.peer_share_of_limit, Some(50.0 / 500.0));
        assert_eq!((row.peer_peak_rss_bytes, row.peer_energy_joules), (Some(50), None));
    }

    #[test]
    fn a_peer_that_fails_leaves_our_figures() {
        let empty = Row { peer_tokens_per_second: None, ratio: None, ..Row::made_up() };
        let problem = Err(Error::Process("no beads".into()));
        let row = empty.clone().beside("p", &runs(&[1.0]), problem, None);
        assert_eq!(row.peer_problem.as_deref(), Some("no beads"));
        assert_eq!((row.ratio, row.tokens_per_second), (None, empty.tokens_per_second));
    }

    #[test]
    fn shares_are_of_what_a_token_takes() {
        let row = Row::made_up().with_share(Some(1e9));
        assert_eq!(row.share_of_limit, Some(200.0 / 500.0));
        assert_eq!(Row { limit: None, ..row }.with_share(Some(1e9)).share_of_limit, None);
    }
}
