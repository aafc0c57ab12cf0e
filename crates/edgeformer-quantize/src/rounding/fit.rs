//! The error of a group under a scale and a minimum, and the best of both for given codes.

use edgeformer_core::quant::Group;

use super::coder::Coder;

/// Sums are taken in this many lanes: one fixed order, and vectors for the compiler.
const LANES: usize = 8;

/// A group's values with their weights, and how codes are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Fit<'a, C, const N: usize> {
    /// What is to be held.
    pub values: &'a [f32; N],
    /// What an error costs.
    pub weights: &'a [f32; N],
    /// The codes there are.
    pub coder: C,
}

/// The sums of a weighted least-squares fit of `scale * code - min` to values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Of weights.
    pub w: f32,
    /// Of values.
    pub x: f32,
    /// Of codes.
    pub c: f32,
    /// Of squared codes.
    pub cc: f32,
    /// Of values times codes.
    pub xc: f32,
}

impl<C: Coder, const N: usize> Fit<'_, C, N> {
    /// The weighted squared error under a scale and a minimum, every value on its nearest code.
    #[inline]
    pub fn error(&self, group: Group) -> f32 {
        let inverse = inverse(group.scale);
        let mut lanes = [0.0; LANES];
        for (values, weights) in self.runs() {
            for (lane, (value, weight)) in lanes.iter_mut().zip(values.iter().zip(weights)) {
                let raised = value + group.min;
                let error = raised - group.scale * self.coder.code(raised * inverse);
                *lane += weight * error * error;
            }
        }
        sum(lanes)
    }

    /// The sums over the codes that a scale and a minimum give.
    #[inline]
    pub fn sums(&self, group: Group) -> Sums {
        let inverse = inverse(group.scale);
        let [mut w, mut x, mut c, mut cc, mut xc] = [[0.0; LANES]; 5];
        for (values, weights) in self.runs() {
            for (i, (value, weight)) in values.iter().zip(weights).enumerate() {
                let code = self.coder.code((value + group.min) * inverse);
                let weighted = weight * code;
                w[i] += weight;
                x[i] += weight * value;
                c[i] += weighted;
                cc[i] += weighted * code;
                xc[i] += weighted * value;
            }
        }
        Sums { w: sum(w), x: sum(x), c: sum(c), cc: sum(cc), xc: sum(xc) }
    }

    /// The best scale alone for the codes that a scale gives.
    #[inline]
    pub fn refit_scale(&self, scale: f32) -> f32 {
        let inverse = inverse(scale);
        let [mut cc, mut xc] = [[0.0; LANES]; 2];
        for (values, weights) in self.runs() {
            for (i, (value, weight)) in values.iter().zip(weights).enumerate() {
                let code = self.coder.code(value * inverse);
                cc[i] += weight * code * code;
                xc[i] += weight * code * value;
            }
        }
        let cc = sum(cc);
        if cc > 0.0 { sum(xc) / cc } else { scale }
    }

    #[inline(always)]
    fn runs(&self) -> impl Iterator<Item = (&[f32; LANES], &[f32; LANES])> {
        self.values.as_chunks().0.iter().zip(self.weights.as_chunks().0)
    }
}

impl Sums {
    /// The line of least squares; where minima must not be negative (`above`), the best of those.
    /// None if all codes are equal.
    pub fn line(&self, above: bool) -> Option<Group> {
        let determinant = self.w * self.cc - self.c * self.c;
        if determinant <= 1e-6 * self.w * self.cc {
            return None;
        }
        let scale = (self.w * self.xc - self.x * self.c) / determinant;
        let min = (self.c * self.xc - self.cc * self.x) / determinant;
        if above && min < 0.0 {
            return Some(Group { scale: self.xc / self.cc, min: 0.0 });
        }
        Some(Group { scale, min })
    }
}

/// `1 / scale`, and zero where the scale is as good as zero.
#[inline(always)]
pub fn inverse(scale: f32) -> f32 {
    if scale.abs() < 1e-30 { 0.0 } else { 1.0 / scale }
}

#[inline(always)]
fn sum([a, b, c, d, e, f, g, h]: [f32; LANES]) -> f32 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
