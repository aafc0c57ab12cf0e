//! What many numbers say: means, errors, intervals, quantiles.

use serde::{Deserialize, Serialize};

use super::exact;

/// Standard errors on either side of a normal mean that hold 95 % of all outcomes.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// Windows from which on the spread of their means says how sure a mean is.
const ENOUGH_WINDOWS: usize = 10;

/// Where a value lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Around a mean whose error is normal.
    pub fn normal(mean: f64, standard_error: f64) -> Self {
        let reach = NORMAL_95 * standard_error;
        Self { low: mean - reach, high: mean + reach }
    }

    /// Both ends through a function that grows.
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        Self { low: function(self.low), high: function(self.high) }
    }
}

/// The Wilson interval of a share: `hits` of `count` (E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", 1927). It holds at shares of 0 and 1 too, where the
/// normal one has no width.
pub fn wilson(hits: u64, count: u64) -> Interval {
    if count == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, z2) = (count as f64, NORMAL_95 * NORMAL_95);
    let share = hits as f64 / n;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let spread = (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let reach = NORMAL_95 / (1.0 + z2 / n) * spread;
    // At both ends rounding would leave a hair.
    let low = if hits == 0 { 0.0 } else { (middle - reach).max(0.0) };
    let high = if hits == count { 1.0 } else { (middle + reach).min(1.0) };
    Interval { low, high }
}

/// Number, sum and sum of squares of values that come one by one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    #[serde(with = "exact")]
    sum: f64,
    #[serde(with = "exact")]
    squares: f64,
}

impl Moments {
    /// Takes a value in.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Takes all values of another in.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean, zero of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Root of the mean of their squares, zero of none.
    pub fn root_mean_square(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / self.count as f64).sqrt() }
    }

    /// Standard error of the mean, the values being independent: zero of fewer than two.
    pub fn standard_error(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let count = self.count as f64;
        let variance = self.squares / count - self.mean().powi(2);
        // Rounding can leave the variance of equal values below zero.
        (variance.max(0.0) / (count - 1.0)).sqrt()
    }
}

/// Standard error of the mean over all values of some windows, and whether it comes from the means
/// of the windows: values of one window resemble each other, so with ten windows and more these
/// tell more than the single values.
pub(super) fn clustered<'a>(windows: impl Iterator<Item = &'a Moments>) -> (f64, bool) {
    let (mut all, mut means) = (Moments::default(), Moments::default());
    for window in windows.filter(|window| window.count > 0) {
        all.merge(window);
        means.add(window.mean());
    }
    match means.count as usize >= ENOUGH_WINDOWS {
        true => (means.standard_error(), true),
        false => (all.standard_error(), false),
    }
}

/// The value below which a share of all values lies (nearest rank); `None` of no values.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests;
