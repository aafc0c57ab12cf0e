//! How encoders choose scales: by trying several and keeping the one of least weighted error.

/// A range below this has no scale that a half could hold.
const NEGLIGIBLE: f32 = 1e-15;

/// The best scale of a symmetric group.
///
/// Every inverse scale in `tries`, given for values divided by their largest magnitude, yields
/// codes by `code`; least squares with weights `value²` yields the best scale for these codes;
/// the one that explains most wins. Working on divided values keeps the sums in range whatever
/// the magnitude.
pub fn scale(values: &[f32], tries: impl Iterator<Item = f32>, code: impl Fn(f32) -> i8) -> f32 {
    let extreme = crate::quant::block::extreme(values);
    if extreme.abs() < NEGLIGIBLE {
        return 0.0;
    }
    let mut best = (0.0, 0.0);
    for inverse in tries {
        let (mut value_code, mut code_code) = (0.0, 0.0);
        for value in values {
            let value = value / extreme;
            let code = f32::from(code(value * inverse));
            let weight = value * value;
            value_code += weight * value * code;
            code_code += weight * code * code;
        }
        if code_code == 0.0 {
            continue;
        }
        let scale = value_code / code_code;
        let explained = scale * value_code;
        if explained > best.0 {
            best = (explained, scale);
        }
    }
    best.1 * extreme
}

/// Inverse scales around the one that puts the extreme value on code `-levels`.
pub fn around(levels: f32) -> impl Iterator<Item = f32> {
    (-9i8..=9).map(move |step| -(levels + 0.1 * f32::from(step)))
}

/// How to look for the scale and the minimum of an asymmetric group.
pub struct Asymmetric {
    /// The largest code.
    pub levels: u8,
    /// Where to begin: the code that the largest value is tried on, minus `levels`.
    pub first: f32,
    /// How many steps of 0.1 to go from there.
    pub steps: u8,
    /// What an error costs.
    pub cost: fn(f32) -> f32,
}

impl Asymmetric {
    /// Scale and minimum (subtracted, not negative) of least weighted cost over `values`.
    pub fn find<const N: usize>(&self, values: &[f32; N], weights: &[f32; N]) -> (f32, f32) {
        let (min, max) = crate::quant::block::range(values);
        let min = min.min(0.0);
        let width = max - min;
        if width < NEGLIGIBLE {
            return (0.0, -min);
        }
        let group = Divided {
            values: values.map(|value| value / width),
            weights: weights.map(|weight| weight / width),
            min: min / width,
        };
        let levels = f32::from(self.levels);
        let mut best = (1.0 / levels, group.min);
        let mut least = self.price(&group, levels, best);
        for step in 0..=self.steps {
            let inverse = levels + self.first + 0.1 * f32::from(step);
            let Some(line) = self.fit(&group, inverse) else { continue };
            let price = self.price(&group, inverse, line);
            if price < least {
                (least, best) = (price, line);
            }
        }
        (best.0 * width, -best.1 * width)
    }

    /// The straight line from codes to values by weighted least squares, at or below zero at
    /// code zero; none if all codes are equal.
    fn fit<const N: usize>(&self, group: &Divided<N>, inverse: f32) -> Option<(f32, f32)> {
        let [mut w, mut wx, mut wl, mut wll, mut wxl] = [0.0; 5];
        for (&value, &weight) in group.values.iter().zip(&group.weights) {
            let code = self.code(value - group.min, inverse);
            w += weight;
            wx += weight * value;
            wl += weight * code;
            wll += weight * code * code;
            wxl += weight * value * code;
        }
        let determinant = w * wll - wl * wl;
        if determinant <= 0.0 {
            return None;
        }
        let scale = (w * wxl - wx * wl) / determinant;
        let min = (wll * wx - wl * wxl) / determinant;
        Some(if min > 0.0 { (wxl / wll, 0.0) } else { (scale, min) })
    }

    fn price<const N: usize>(
        &self,
        group: &Divided<N>,
        inverse: f32,
        (scale, min): (f32, f32),
    ) -> f32 {
        let price = |(&value, &weight): (&f32, &f32)| {
            let code = self.code(value - group.min, inverse);
            weight * (self.cost)(scale * code + min - value)
        };
        group.values.iter().zip(&group.weights).map(price).sum()
    }

    fn code(&self, above: f32, inverse: f32) -> f32 {
        (above * inverse).round_ties_even().clamp(0.0, f32::from(self.levels))
    }
}

/// A group divided by the width of its range, which keeps the sums in range.
struct Divided<const N: usize> {
    values: [f32; N],
    weights: [f32; N],
    min: f32,
}
