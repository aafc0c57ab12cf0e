use std::time::Duration;

/// Rows whose steps are told apart.
const ROWS: usize = 128;

/// How much a new time counts.
const WEIGHT: f64 = 0.25;

/// A time longer than so many times what was expected is the system's doing.
const OUTLIER: f64 = 2.0;

/// What each further row is taken to cost, of a row's step, before any was measured: little, so
/// that it is tried.
const HOPE: f64 = 0.03;

/// The moving average of times after a new one, outliers cut.
pub(super) fn averaged(known: Option<f64>, seconds: f64) -> f64 {
    let known = known.unwrap_or(seconds);
    known + WEIGHT * (seconds.min(OUTLIER * known) - known)
}

/// What steps take, by their rows: moving averages.
#[derive(Debug, Clone)]
pub(super) struct StepCosts([Option<f64>; ROWS]);

impl Default for StepCosts {
    fn default() -> Self {
        Self([None; ROWS])
    }
}

impl StepCosts {
    /// Takes in a step.
    pub fn measured(&mut self, rows: usize, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(cost) = rows.checked_sub(1).and_then(|index| self.0.get_mut(index)) {
            *cost = Some(averaged(*cost, seconds));
        }
    }

    /// Whether a step of so many rows was measured.
    pub fn knows(&self, rows: usize) -> bool {
        self.known(rows).is_some()
    }

    fn known(&self, rows: usize) -> Option<f64> {
        *self.0.get(rows.checked_sub(1)?)?
    }

    /// Seconds that a step of so many rows takes; between and beyond those measured it is
    /// on the line through the nearest ones. `None` if none was measured.
    pub fn of(&self, rows: usize) -> Option<f64> {
        let at_or_below = |rows: usize| {
            (1..=rows.min(ROWS)).rev().find_map(|rows| Some((rows as f64, self.known(rows)?)))
        };
        let above = || (rows + 1..=ROWS).find_map(|rows| Some((rows as f64, self.known(rows)?)));
        let line = |(x0, y0): (f64, f64), (x1, y1): (f64, f64)| {
            // More rows do not take less: what looks so is noise.
            y0 + (y1 - y0).max(0.0) / (x1 - x0) * (rows as f64 - x0)
        };
        match (at_or_below(rows), above()) {
            (Some((x, cost)), _) if x == rows as f64 => Some(cost),
            (Some(low), Some(high)) => Some(line(low, high)),
            (Some(last), None) => Some(match at_or_below(last.0 as usize - 1) {
                Some(before) => line(before, last),
                None => last.1 * (1.0 + HOPE * (rows as f64 - last.0)),
            }),
            (None, first) => Some(first?.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(times: &[(usize, u64)]) -> StepCosts {
        let mut costs = StepCosts::default();
        times.iter().for_each(|&(rows, time)| costs.measured(rows, Duration::from_millis(time)));
        costs
    }

    fn millis(costs: &StepCosts, rows: usize) -> f64 {
        (costs.of(rows).unwrap() * 1e6).round() / 1e3
    }

    #[test]
    fn costs_lie_on_lines_through_what_was_measured() {
        let costs = costs(&[(1, 100), (5, 140), (9, 220)]);
        assert_eq!(
            [1, 3, 5, 7, 9, 11].map(|rows| millis(&costs, rows)),
            [100., 120., 140., 180., 220., 260.]
        );
        assert!(costs.knows(5) && !costs.knows(6));
        assert_eq!(StepCosts::default().of(3), None);
    }

    #[test]
    fn what_was_not_measured_is_hoped_to_be_cheap() {
        assert_eq!(millis(&costs(&[(1, 100)]), 11), 130.0);
        assert_eq!(millis(&costs(&[(4, 100)]), 1), 100.0);
    }

    #[test]
    fn times_are_averaged_and_outliers_cut() {
        assert_eq!(millis(&costs(&[(1, 100), (1, 140)]), 1), 110.0);
        assert_eq!(millis(&costs(&[(1, 100), (1, 9000)]), 1), 125.0);
        // Steps of no rows or of very many are not kept.
        assert!(!costs(&[(0, 1), (4000, 1)]).knows(4000));
    }
}
