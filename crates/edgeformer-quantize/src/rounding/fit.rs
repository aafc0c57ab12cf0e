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

/// The sums of a weighted least-squares fit of `scale * code - min` to values, over what a first
/// scale and minimum leave of them: that keeps small errors exact.
#[derive(Debug, Clone, Copy)]
pub struct Sums {
    /// The first scale and minimum.
    pub group: Group,
    /// Of weights.
    pub w: f32,
    /// Of codes.
    pub c: f32,
    /// Of squared codes.
    pub cc: f32,
    /// Of the rests.
    pub r: f32,
    /// Of the rests times codes.
    pub rc: f32,
    /// Of squared rests.
    pub rr: f32,
}

impl<C: Coder, const N: usize> Fit<'_, C, N> {
    /// The weighted squared error under a scale and a minimum, every value on its nearest code.
    #[inline(always)]
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
        let [error] = totals(&[lanes]);
        error
    }

    /// The sums over the codes that a scale and a minimum give.
    #[inline(always)]
    pub fn sums(&self, group: Group) -> Sums {
        let inverse = inverse(group.scale);
        let [mut w, mut r, mut c, mut cc, mut rc, mut rr] = [[0.0; LANES]; 6];
        for (values, weights) in self.runs() {
            for (i, (value, weight)) in values.iter().zip(weights).enumerate() {
                let raised = value + group.min;
                let code = self.coder.code(raised * inverse);
                let rest = raised - group.scale * code;
                let (weighted, costly) = (weight * code, weight * rest);
                w[i] += weight;
                r[i] += costly;
                c[i] += weighted;
                cc[i] += weighted * code;
                rc[i] += weighted * rest;
                rr[i] += costly * rest;
            }
        }
        let [w, r, c, cc, rc, rr] = totals(&[w, r, c, cc, rc, rr]);
        Sums { group, w, r, c, cc, rc, rr }
    }

    /// The best scale alone for the codes that a scale gives, with its error.
    #[inline(always)]
    pub fn refit_scale(&self, scale: f32) -> (f32, f32) {
        let inverse = inverse(scale);
        let [mut cc, mut rc, mut rr] = [[0.0; LANES]; 3];
        for (values, weights) in self.runs() {
            for (i, (value, weight)) in values.iter().zip(weights).enumerate() {
                let code = self.coder.code(value * inverse);
                let rest = value - scale * code;
                let weighted = weight * code;
                cc[i] += weighted * code;
                rc[i] += weighted * rest;
                rr[i] += weight * rest * rest;
            }
        }
        let [cc, rc, rr] = totals(&[cc, rc, rr]);
        if cc > 0.0 { (scale + rc / cc, rr - rc * rc / cc) } else { (scale, rr) }
    }

    #[inline(always)]
    fn runs(&self) -> impl Iterator<Item = (&[f32; LANES], &[f32; LANES])> {
        self.values.as_chunks().0.iter().zip(self.weights.as_chunks().0)
    }
}

impl Sums {
    /// The line of least squares with its error; where minima must not be negative (`above`), the
    /// best of those. None if all codes are equal.
    #[inline(always)]
    pub fn line(&self, above: bool) -> Option<(Group, f32)> {
        let determinant = self.w * self.cc - self.c * self.c;
        if determinant <= 1e-6 * self.w * self.cc {
            return None;
        }
        let by_scale = (self.w * self.rc - self.r * self.c) / determinant;
        let by_min = (self.c * self.rc - self.cc * self.r) / determinant;
        let min = self.group.min + by_min;
        if above && min < 0.0 {
            let by_min = -self.group.min;
            return Some(self.moved((self.rc + by_min * self.c) / self.cc, by_min));
        }
        Some(self.moved(by_scale, by_min))
    }

    /// Other scale and minimum with their error for the same codes.
    fn moved(&self, by_scale: f32, by_min: f32) -> (Group, f32) {
        let linear = by_scale * self.rc - by_min * self.r;
        let square = by_scale * by_scale * self.cc - 2.0 * by_scale * by_min * self.c
            + by_min * by_min * self.w;
        let group = Group { scale: self.group.scale + by_scale, min: self.group.min + by_min };
        (group, self.rr - 2.0 * linear + square)
    }

    /// Of values times codes.
    pub fn xc(&self) -> f32 {
        self.rc - self.group.min * self.c + self.group.scale * self.cc
    }

    /// Of values.
    pub fn x(&self) -> f32 {
        self.r - self.group.min * self.w + self.group.scale * self.c
    }
}

/// `1 / scale`, and zero where the scale is as good as zero.
#[inline(always)]
pub fn inverse(scale: f32) -> f32 {
    if scale.abs() < 1e-30 { 0.0 } else { 1.0 / scale }
}

/// The sum of each.
///
/// Never inlined: where the compiler sees lanes added to each other, it makes vectors of those that
/// meet, and not of those that lie side by side, and everything before takes twice as long.
#[inline(never)]
fn totals<const K: usize>(lanes: &[[f32; LANES]; K]) -> [f32; K] {
    lanes.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h)))
}
