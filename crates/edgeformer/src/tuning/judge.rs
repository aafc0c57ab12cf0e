/// A setup has to save at least this share of the time, whatever the noise.
const LEAST_GAIN: f64 = 0.03;

/// Measurements without which nothing is judged.
pub(super) const LEAST_ROUNDS: usize = 3;

/// Times of one setup, taken in turns with those of others.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(Vec<f64>);

impl Times {
    pub fn push(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    pub fn rounds(&self) -> usize {
        self.0.len()
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (lower, upper) = ((sorted.len().max(1) - 1) / 2, sorted.len() / 2);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::INFINITY);
        if sorted.is_empty() { f64::INFINITY } else { (at(lower) + at(upper)) / 2.0 }
    }

    /// The shortest: what the machine does when nobody disturbs it.
    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How far the shortest lies from the middle, relative to the middle.
    pub fn noise(&self) -> f64 {
        let median = self.median();
        if median.is_finite() && median > 0.0 { (median - self.least()) / median } else { 0.0 }
    }

    /// Whether these are shorter than those of the usual setup by more than chance: the middle one
    /// beyond the noise of both, and the shortest too.
    pub fn beat(&self, usual: &Self) -> bool {
        if self.rounds().min(usual.rounds()) < LEAST_ROUNDS {
            return false;
        }
        let margin = LEAST_GAIN.max(self.noise()).max(usual.noise());
        self.median() < usual.median() * (1.0 - margin)
            && self.least() < usual.least() * (1.0 - LEAST_GAIN)
    }
}

/// Which setup to take: the fastest of those that beat the usual one, which is the first.
pub(super) fn best(times: &[Times]) -> usize {
    let Some((usual, others)) = times.split_first() else { return 0 };
    let better = (1..).zip(others).filter(|(_, times)| times.beat(usual));
    better.min_by(|a, b| a.1.median().total_cmp(&b.1.median())).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(all: &[f64]) -> Times {
        Times(all.to_vec())
    }

    #[test]
    fn the_usual_setup_stays_unless_another_is_clearly_faster() {
        let usual = times(&[1.0, 1.01, 1.02]);
        assert_eq!(best(&[usual.clone(), times(&[0.98, 0.99, 1.0])]), 0);
        assert_eq!(
            best(&[usual.clone(), times(&[0.80, 0.81, 0.82]), times(&[0.7, 0.71, 0.72])]),
            2
        );
        assert_eq!(best(&[usual.clone(), times(&[2.0, 2.0, 2.0])]), 0);
        assert_eq!(best(&[usual]), 0);
        assert_eq!(best(&[]), 0);
    }

    #[test]
    fn noise_decides_nothing() {
        // The usual one was disturbed: at its best it is as fast.
        assert_eq!(best(&[times(&[0.8, 1.4, 1.5]), times(&[0.79, 0.8, 0.81])]), 0);
        // The other one was lucky once.
        assert_eq!(best(&[times(&[1.0, 1.0, 1.0]), times(&[0.5, 0.95, 1.1])]), 0);
        // Two measurements are none.
        assert_eq!(best(&[times(&[1.0, 1.0]), times(&[0.5, 0.5])]), 0);
    }

    #[test]
    fn medians_lie_in_the_middle() {
        assert_eq!(times(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(times(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!((times(&[]).median(), times(&[]).noise()), (f64::INFINITY, 0.0));
    }
}
