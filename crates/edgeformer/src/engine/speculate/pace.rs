use std::time::Duration;

use super::costs::{StepCosts, averaged};
use super::lookup::LONGEST;

/// How much a new verdict counts.
const WEIGHT: f64 = 0.06;

/// The share of guesses that is taken to be right before any was judged.
const HOPE: f64 = 0.6;

/// Guesses have to save at least this share of the time: less is within the noise.
const MARGIN: f64 = 0.02;

/// Steps without guesses after which some are made although they are not expected to pay: times
/// change. Doubles as long as they do not.
const PATIENCE: usize = 64;
const MOST_PATIENCE: usize = 2048;

/// Guesses of such a trial.
const TRIAL: usize = 2;

/// Steps with guesses after which one is made without: its time is what guesses are compared with.
const COMPARE: usize = 48;

/// Chooses how many tokens are guessed.
///
/// If each guess is right with probability `a`, `k` guesses give `(1 - a^(k+1)) / (1 - a)` tokens
/// a step (arXiv 2211.17192, equation 1). What such a step takes is measured while generating;
/// chosen is the `k` with the most tokens a second, 0 where none is worth it.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    costs: StepCosts,
    /// Seconds that guessing a token takes.
    drafting: Option<f64>,
    /// The share of guesses that is right, by class.
    right: [f64; LONGEST + 1],
    /// Steps since guesses were verified, and since none were.
    idle: usize,
    busy: usize,
    patience: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            costs: StepCosts::default(),
            drafting: None,
            right: [HOPE; LONGEST + 1],
            idle: 0,
            busy: 0,
            patience: PATIENCE,
        }
    }
}

impl Pace {
    /// How many guesses of a class to make, `least` to `most` or none, for an answer of a step
    /// that has `rows` rows without them.
    pub fn choose(&mut self, class: usize, rows: usize, least: usize, most: usize) -> usize {
        let must_compare = self.busy >= COMPARE || !self.costs.knows(rows);
        let chosen = if most < least || must_compare {
            0
        } else {
            match self.best(class, rows, least, most) {
                0 if self.idle >= self.patience => {
                    self.patience = (2 * self.patience).min(MOST_PATIENCE);
                    TRIAL.clamp(least, most)
                }
                0 => 0,
                best => {
                    self.patience = PATIENCE;
                    best
                }
            }
        };
        if chosen == 0 {
            (self.idle, self.busy) = (self.idle + 1, 0);
        } else {
            (self.idle, self.busy) = (0, self.busy + 1);
        }
        chosen
    }

    /// The number of guesses with the most tokens a second.
    fn best(&self, class: usize, rows: usize, least: usize, most: usize) -> usize {
        let (others, right) = ((rows - 1) as f64, self.right[class].min(0.995));
        let rate = |count: usize| {
            let tokens = others + (1.0 - right.powi(count as i32 + 1)) / (1.0 - right);
            let guessing = count as f64 * self.drafting.unwrap_or(0.0);
            Some(tokens / (self.costs.of(rows + count)? + guessing))
        };
        let Some(plain) = rate(0) else { return 0 };
        let rates = (least..=most).filter_map(|count| Some((count, rate(count)?)));
        let best = rates.max_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|&(_, rate)| rate > plain * (1.0 + MARGIN)).map_or(0, |(count, _)| count)
    }

    /// Takes in what a step took.
    pub fn measured(&mut self, rows: usize, time: Duration) {
        self.costs.measured(rows, time);
    }

    /// Takes in what guessing took.
    pub fn drafted(&mut self, count: usize, time: Duration) {
        if count > 0 {
            let seconds = time.as_secs_f64() / count as f64;
            self.drafting = Some(averaged(self.drafting, seconds));
        }
    }

    /// Takes in that of `count` guesses of a class the first `right` were: those behind the first
    /// wrong one say nothing.
    pub fn judge(&mut self, class: usize, count: usize, right: usize) {
        let share = &mut self.right[class];
        (0..right.min(count)).for_each(|_| *share += WEIGHT * (1.0 - *share));
        if right < count {
            *share -= WEIGHT * *share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace where `guesses` were judged, on a machine where a row costs `row` of a step.
    fn pace(row: f64, right: usize, wrong: usize) -> Pace {
        let mut pace = Pace::default();
        for rows in 1..=17 {
            pace.measured(rows, Duration::from_secs_f64(1.0 + row * (rows - 1) as f64));
        }
        (0..right.max(wrong)).for_each(|round| {
            if round < right {
                pace.judge(1, 1, 1);
            }
            if round < wrong {
                pace.judge(1, 1, 0);
            }
        });
        pace
    }

    #[test]
    fn many_guesses_pay_where_rows_are_cheap_and_guesses_right() {
        assert_eq!(pace(0.0, 100, 0).choose(1, 1, 1, 16), 16);
        let some = pace(0.1, 40, 20).choose(1, 1, 1, 16);
        assert!((1..8).contains(&some), "{some}");
    }

    #[test]
    fn nothing_is_guessed_where_it_does_not_pay() {
        assert_eq!(pace(1.0, 100, 20).choose(1, 1, 1, 16), 0);
        assert_eq!(pace(0.1, 0, 100).choose(1, 1, 1, 16), 0);
        let mut slow_draft = pace(0.1, 40, 20);
        slow_draft.drafted(4, Duration::from_secs(4));
        assert_eq!(slow_draft.choose(1, 1, 1, 16), 0);
    }

    #[test]
    fn it_is_tried_again_ever_more_rarely() {
        let mut pace = pace(1.0, 10, 10);
        let trials: Vec<usize> = (0..1000).filter(|_| pace.choose(1, 1, 1, 16) > 0).collect();
        assert_eq!(trials.len(), 4, "{trials:?}");
        assert_eq!(trials[0], PATIENCE);
    }

    #[test]
    fn a_step_without_guesses_comes_first_and_now_and_then() {
        let mut fresh = Pace::default();
        assert_eq!(fresh.choose(1, 1, 1, 16), 0);
        let mut pace = pace(0.0, 100, 0);
        let plain = (0..200).filter(|_| pace.choose(1, 1, 1, 16) == 0).count();
        assert_eq!(plain, 4);
    }

    #[test]
    fn limits_are_kept() {
        assert_eq!(pace(0.0, 100, 0).choose(1, 1, 1, 3), 3);
        assert_eq!(pace(0.0, 100, 0).choose(1, 1, 4, 3), 0);
        assert!(
            pace(0.1, 40, 20).choose(1, 1, 8, 16) == 0
                || pace(0.1, 40, 20).choose(1, 1, 8, 16) >= 8
        );
    }

    #[test]
    fn rows_of_others_make_guesses_dearer() {
        let alone = pace(0.2, 60, 20).choose(1, 1, 1, 8);
        let crowded = pace(0.2, 60, 20).choose(1, 9, 1, 8);
        assert!(crowded < alone, "{crowded} {alone}");
    }
}
