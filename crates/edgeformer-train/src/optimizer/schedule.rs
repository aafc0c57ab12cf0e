use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine, to zero.
    #[default]
    Cosine,
    /// A straight line, to zero.
    Linear,
    /// Not at all.
    Constant,
}

/// The learning rate of every step: a line up to the peak, then a [`Decay`], as `transformers`'
/// `get_cosine_schedule_with_warmup` and its siblings have them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub steps: u64,
    /// What follows the warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1);
        let done = ((step - self.warmup) as f64 / span as f64).min(1.0);
        self.peak
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Linear => 1.0 - done,
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_transformers() {
        let rates = |decay| {
            let schedule = Schedule { peak: 1.0, warmup: 2, steps: 10, decay };
            [0, 1, 2, 6, 10, 11].map(|step| (schedule.rate(step) * 1e6).round() / 1e6)
        };
        assert_eq!(rates(Decay::Cosine), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
        assert_eq!(rates(Decay::Linear), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
        assert_eq!(rates(Decay::Constant), [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn without_a_warm_up_the_first_step_has_the_peak() {
        let schedule = Schedule { peak: 3.0, warmup: 0, steps: 1, decay: Decay::Linear };
        assert_eq!(schedule.rate(0), 3.0);
    }
}
