//! How encoders choose scales: by trying several and keeping the one of least weighted error.

use crate::quant::bits::nearest;
use crate::quant::block::{extreme, range};

/// A range below this has no scale that a half could hold.
const NEGLIGIBLE: f32 = 1e-15;

/// The best scale of a symmetric group.
///
/// Every inverse scale in `tries`, given for values divided by the one of largest magnitude,
/// yields codes by `code`; least squares with weights `value²` yields the best scale for these
/// codes; the one that explains most wins. Working on divided values keeps the sums in range
/// whatever the magnitude.
pub fn scale<const N: usize>(
    values: &[f32; N],
    mut tries: impl Iterator<Item = f32>,
    code: impl Fn(f32) -> f32,
) -> f32 {
    let extreme = extreme(values);
    if extreme.abs() < NEGLIGIBLE {
        return 0.0;
    }
    let values = values.map(|value| value / extreme);
    let mut best = Fit::default();
    loop {
        let mut inverses = [0.0; ABREAST];
        let count = inverses.iter_mut().zip(&mut tries).map(|(held, next)| *held = next).count();
        for fit in &fits(&values, &inverses, &code)[..count] {
            best = if fit.beats(&best) { *fit } else { best };
        }
        if count < ABREAST {
            return best.scale() * extreme;
        }
    }
}

/// Tries that are summed up abreast: each in its order, and together in vectors.
const ABREAST: usize = 8;

/// The sums of every try.
#[inline(always)]
fn fits<const N: usize>(
    values: &[f32; N],
    inverses: &[f32; ABREAST],
    code: &impl Fn(f32) -> f32,
) -> [Fit; ABREAST] {
    let [mut value_code, mut code_code] = [[0.0f32; ABREAST]; 2];
    for value in values {
        let weight = value * value;
        let weighted = weight * value;
        for lane in 0..ABREAST {
            let code = code(value * inverses[lane]);
            value_code[lane] += weighted * code;
            code_code[lane] += weight * code * code;
        }
    }
    std::array::from_fn(|lane| Fit { value_code: value_code[lane], code_code: code_code[lane] })
}

/// The best scale of a symmetric group of few codes, from `-levels` to `levels - 1`.
///
/// Starts as [`scale`] does and moves one code after the other to where it explains most, given
/// the scale that the others imply, until none moves.
pub fn scale_of_few<const N: usize>(values: &[f32; N], levels: f32) -> f32 {
    let code = |value: f32| nearest(value, -levels, levels - 1.0);
    let extreme = extreme(values);
    if extreme.abs() < NEGLIGIBLE {
        return 0.0;
    }
    let values = values.map(|value| value / extreme);
    let mut codes = values.map(|value| code(-levels * value));
    let mut best = Fit::of(&values, &codes);
    for _ in 0..5 {
        let mut moved = false;
        for (value, held) in values.iter().zip(&mut codes) {
            let others = best.without(*value, *held);
            if others.scale() == 0.0 {
                continue;
            }
            let code = code(value / others.scale());
            let fit = others.with(*value, code);
            if code != *held && fit.beats(&best) {
                (*held, best, moved) = (code, fit, true);
            }
        }
        if !moved {
            break;
        }
    }
    best.scale() * extreme
}

/// The sums of a least-squares fit of `values = scale * codes` with weights `value²`.
#[derive(Debug, Clone, Copy, Default)]
struct Fit {
    value_code: f32,
    code_code: f32,
}

impl Fit {
    fn of(values: &[f32], codes: &[f32]) -> Self {
        values.iter().zip(codes).fold(Self::default(), |fit, (value, code)| fit.with(*value, *code))
    }

    fn with(self, value: f32, code: f32) -> Self {
        let weight = value * value;
        Self {
            value_code: self.value_code + weight * value * code,
            code_code: self.code_code + weight * code * code,
        }
    }

    fn without(self, value: f32, code: f32) -> Self {
        let weight = value * value;
        Self {
            value_code: self.value_code - weight * value * code,
            code_code: self.code_code - weight * code * code,
        }
    }

    fn scale(&self) -> f32 {
        if self.code_code > 0.0 { self.value_code / self.code_code } else { 0.0 }
    }

    /// Whether it leaves less of the values unexplained.
    fn beats(&self, other: &Self) -> bool {
        self.scale() * self.value_code > other.scale() * other.value_code
    }
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
        let (min, max) = range(values);
        let min = min.min(0.0);
        let width = max - min;
        if width < NEGLIGIBLE {
            return (0.0, -min);
        }
        let group = Divided {
            values: values.map(|value| value / width),
            weights: weights.map(|weight| weight / width),
        };
        let (min, max) = (min / width, max / width);
        let levels = f32::from(self.levels);
        let mut best = (1.0 / levels, min);
        let mut least = self.price(&group, &self.codes(&group, min, levels), best);
        for step in 0..=self.steps {
            // Counted from the best minimum so far.
            let inverse = (levels + self.first + 0.1 * f32::from(step)) / (max - best.1);
            let codes = self.codes(&group, best.1, inverse);
            let Some(line) = group.fit(&codes) else { continue };
            let price = self.price(&group, &codes, line);
            if price < least {
                (least, best) = (price, line);
            }
        }
        (best.0 * width, -best.1 * width)
    }

    fn codes<const N: usize>(&self, group: &Divided<N>, min: f32, inverse: f32) -> [f32; N] {
        let levels = f32::from(self.levels);
        group.values.map(|value| nearest((value - min) * inverse, 0.0, levels))
    }

    fn price<const N: usize>(
        &self,
        group: &Divided<N>,
        codes: &[f32; N],
        (scale, min): (f32, f32),
    ) -> f32 {
        let price =
            |i: usize| group.weights[i] * (self.cost)(scale * codes[i] + min - group.values[i]);
        (0..N).map(price).sum()
    }
}

/// A group divided by the width of its range, which keeps the sums in range.
struct Divided<const N: usize> {
    values: [f32; N],
    weights: [f32; N],
}

impl<const N: usize> Divided<N> {
    /// Scale and minimum of the straight line from codes to values by weighted least squares, at
    /// or below zero at code zero; none if all codes are equal.
    fn fit(&self, codes: &[f32; N]) -> Option<(f32, f32)> {
        let [mut w, mut wx, mut wl, mut wll, mut wxl] = [0.0; 5];
        for ((&value, &weight), &code) in self.values.iter().zip(&self.weights).zip(codes) {
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
}
