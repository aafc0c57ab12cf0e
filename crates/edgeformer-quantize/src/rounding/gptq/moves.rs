//! The moves of the coordinate descent, among columns near each other.

use std::ops::Range;

use edgeformer_core::quant::Group;
use nalgebra::{DMatrix, DVector};

use crate::rounding::coder::{Book, Coder, Range as Whole};
use crate::rounding::fit::inverse;
use crate::rounding::grid::{Codes, Grid, Parts, Scales};
use crate::rounding::task::Halves;

/// Some columns of one row.
pub struct Local<'a> {
    grid: &'a Grid,
    /// The Hessian of these columns among themselves.
    hessian: &'a DMatrix<f32>,
    /// What is left of the row times the Hessian.
    slopes: DVector<f32>,
    /// By how much the rounded values changed so far.
    pub changes: DVector<f32>,
}

/// What is moved.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Every code.
    Codes,
    /// The scale and minimum of every group, as stored.
    Groups,
    /// The halves that the groups of a block share.
    Shared,
}

impl<'a> Local<'a> {
    /// Nothing changed yet.
    pub fn new(grid: &'a Grid, hessian: &'a DMatrix<f32>, slopes: DVector<f32>) -> Self {
        let changes = DVector::zeros(slopes.len());
        Self { grid, hessian, slopes, changes }
    }

    /// Moves all of a kind, each to where the error is least given all others.
    pub fn run(&mut self, step: Step, blocks: &mut [Parts]) {
        let whole = matches!(self.grid.scales, Scales::Whole(..) | Scales::WholeWithMin(_));
        for (index, parts) in blocks.iter_mut().enumerate() {
            let first = index * self.grid.len;
            match (step, self.grid.codes) {
                (Step::Codes, Codes::Book) => self.codes(Book, parts, first),
                (Step::Codes, Codes::Range(low, high)) => {
                    self.codes(Whole { low, high }, parts, first);
                }
                (Step::Groups, _) if whole => self.groups(parts, first),
                (Step::Groups, _) => {}
                (Step::Shared, _) => self.shared(parts, first),
            }
        }
    }

    fn codes(&mut self, coder: impl Coder, parts: &mut Parts, first: usize) {
        for within in 0..self.grid.len {
            let col = first + within;
            let own = self.hessian[(col, col)];
            let Group { scale, min } = parts.group(within / self.grid.group);
            if own <= 0.0 || scale == 0.0 {
                continue;
            }
            let held = scale * f32::from(parts.codes[within]) - min;
            let ideal = held + self.slopes[col] / own;
            let code = coder.code((ideal + min) * inverse(scale));
            let change = scale * (code - f32::from(parts.codes[within]));
            // Codes of the book are not evenly spaced, and sums are rounded: asked again.
            if change * (2.0 * self.slopes[col] - change * own) > 0.0 {
                parts.codes[within] = code as i8;
                self.change(col, change);
            }
        }
    }

    fn change(&mut self, col: usize, change: f32) {
        self.changes[col] += change;
        self.slopes.axpy(-change, &self.hessian.column(col), 1.0);
    }

    fn groups(&mut self, parts: &mut Parts, first: usize) {
        for index in 0..self.grid.groups() {
            let within = index * self.grid.group..(index + 1) * self.grid.group;
            let at = first + within.start;
            let codes: Vec<f32> = parts.codes[within].iter().map(|&code| code.into()).collect();
            let plane = self.plane(at, codes, vec![1.0; self.grid.group]);
            let shared = &mut parts.shared;
            let (scale, min) = (shared.scales[index], shared.mins[index]);
            let (low, high) = match self.grid.scales {
                Scales::Whole(low, high) => (low, high),
                Scales::WholeWithMin(high) => (0.0, high),
                Scales::Half | Scales::HalfWithMin => return,
            };
            let stored = |held: f32, unit: f32, by: f32, low: f32| {
                let whole = (held + by * inverse(unit)).round().clamp(low, high);
                (whole - held) * unit
            };
            let by_scale = |by: f32| stored(scale.into(), shared.scale, by, low);
            let by_min = |by: f32| stored(min.into(), shared.min, by, 0.0);
            if let Some((by_scale, by_min)) = plane.best(by_scale, by_min) {
                shared.scales[index] =
                    (f32::from(scale) + by_scale * inverse(shared.scale)).round() as i8;
                shared.mins[index] = (f32::from(min) + by_min * inverse(shared.min)).round() as u8;
                self.follow(&plane, by_scale, by_min);
            }
        }
    }

    fn shared(&mut self, parts: &mut Parts, first: usize) {
        let len = self.grid.len;
        let group = |within: usize| within / self.grid.group;
        let scaled =
            |i: usize| f32::from(parts.shared.scales[group(i)]) * f32::from(parts.codes[i]);
        let lifted = |i: usize| f32::from(parts.shared.mins[group(i)]);
        let plane =
            self.plane(first, (0..len).map(scaled).collect(), (0..len).map(lifted).collect());
        let shared = &mut parts.shared;
        let (scale, min) = (shared.scale, shared.min);
        let by_scale = |by: f32| Halves::PLAIN.nearest(scale + by) - scale;
        let by_min = |by: f32| Halves::PLAIN.nearest(min + by) - min;
        if let Some((by_scale, by_min)) = plane.best(by_scale, by_min) {
            shared.scale = Halves::PLAIN.nearest(scale + by_scale);
            shared.min = Halves::PLAIN.nearest(min + by_min);
            self.follow(&plane, by_scale, by_min);
        }
    }

    /// The error over a scale and a minimum that move columns from `first` on by `codes` and
    /// `-lifts` times their own change.
    fn plane(&self, first: usize, codes: Vec<f32>, lifts: Vec<f32>) -> Plane {
        let cols = first..first + codes.len();
        let lifts = if self.grid.scales.has_min() { lifts } else { Vec::new() };
        let [mut cc, mut cl, mut ll] = [0.0; 3];
        for (i, code) in codes.iter().enumerate() {
            let hessian = &self.hessian.column(first + i).data.into_slice()[cols.clone()];
            let by_codes = dot(hessian, &codes);
            cc += code * by_codes;
            if let Some(lift) = lifts.get(i) {
                cl += lift * by_codes;
                ll += lift * dot(hessian, &lifts);
            }
        }
        let slopes = &self.slopes.as_slice()[cols.clone()];
        let (c, l) = (dot(slopes, &codes), dot(slopes, &lifts));
        Plane { cols, codes, lifts, c, l, cc, cl, ll }
    }

    fn follow(&mut self, plane: &Plane, by_scale: f32, by_min: f32) {
        for (i, col) in plane.cols.clone().enumerate() {
            let lift = plane.lifts.get(i).copied().unwrap_or(0.0);
            self.change(col, by_scale * plane.codes[i] - by_min * lift);
        }
    }
}

/// The squared error as a function of two numbers: `a` adds `a codes` to the rounded values, `b`
/// takes `b lifts` from them.
struct Plane {
    cols: Range<usize>,
    codes: Vec<f32>,
    lifts: Vec<f32>,
    c: f32,
    l: f32,
    cc: f32,
    cl: f32,
    ll: f32,
}

impl Plane {
    /// The best change of both of those that can be stored near the ideal; none if none helps.
    fn best(
        &self,
        by_scale: impl Fn(f32) -> f32,
        by_min: impl Fn(f32) -> f32,
    ) -> Option<(f32, f32)> {
        if self.cc <= 0.0 {
            return None;
        }
        let alone = self.c / self.cc;
        let determinant = self.cc * self.ll - self.cl * self.cl;
        let joint = (self.ll * self.c - self.cl * self.l) / determinant;
        let joint = if determinant > 1e-5 * self.cc * self.ll { joint } else { alone };
        let tries = [0.0, alone, joint].map(|ideal| {
            let scale = by_scale(ideal);
            let ideal = (scale * self.cl - self.l) / self.ll;
            (scale, if self.ll > 0.0 { by_min(ideal) } else { 0.0 })
        });
        let best = tries.into_iter().min_by(|a, b| self.rise(*a).total_cmp(&self.rise(*b)))?;
        (self.rise(best) < 0.0).then_some(best)
    }

    /// How much more is lost.
    fn rise(&self, (a, b): (f32, f32)) -> f32 {
        a * a * self.cc - 2.0 * a * b * self.cl + b * b * self.ll - 2.0 * (a * self.c - b * self.l)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}
