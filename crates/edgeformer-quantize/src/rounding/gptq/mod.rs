//! GPTQ (Frantar et al. 2022, arXiv 2210.17323) on the blocks of GGUF.
//!
//! The error of a row `w` rounded to `q` is `(w - q) H (w - q)ᵀ`. Columns are rounded one after
//! the other, each to make up for what those before it lost ([`Factor`]). Then every code, scale
//! and minimum is moved in turn to where the error is least given the others ([`refine`]). A row
//! starts that from its plain rounding where this is the better start, so the result is never
//! worse.

mod columns;
mod moves;
mod refine;

use std::ops::Range;

use nalgebra::DMatrix;

use super::grid::{Grid, Parts};
use super::{Gptq, Order};
use crate::linalg::{Factor, Hessian};
use crate::{Error, Result};

/// Rows that are rounded together: enough for products of matrices. Fixed, so that results do
/// not depend on the number of threads.
pub const ROWS: usize = 64;

/// Columns whose effect on all later ones is put off until they are done: a multiple of every
/// block's length.
const LAZY: usize = 256;

/// All that the rows of a matrix share.
#[derive(Debug)]
pub struct Curvature {
    sections: Vec<Section>,
    cols: usize,
    refine: usize,
}

/// A block of the Hessian.
#[derive(Debug)]
struct Section {
    cols: Range<usize>,
    hessian: DMatrix<f32>,
    factor: Factor,
    /// Which column comes when; none for as they stand.
    order: Option<Vec<usize>>,
}

impl Curvature {
    /// Factorises a Hessian.
    ///
    /// # Errors
    /// If there is none, if its blocks are not whole blocks of the format, or if it is not
    /// positive definite even when damped.
    pub fn new(hessian: Option<&Hessian>, grid: &Grid, settings: &Gptq) -> Result<Self> {
        let problem = |problem: &str| Error::Request(problem.into());
        let hessian = hessian
            .ok_or_else(|| problem("gptq needs the Hessian of the inputs: calibrate first"))?;
        let sections = hessian.blocks().enumerate().map(|(index, cols)| {
            if !cols.len().is_multiple_of(grid.len) {
                return Err(Error::Request(format!(
                    "a Hessian in blocks of {} does not fit a format in blocks of {}: take a multiple",
                    cols.len(),
                    grid.len
                )));
            }
            Section::new(hessian.dense(index), cols, settings).ok_or_else(|| {
                problem("the Hessian has infinite or no positive entries: check the calibration")
            })
        });
        let sections = sections.collect::<Result<_>>()?;
        Ok(Self { sections, cols: hessian.size(), refine: settings.refine })
    }
}

impl Section {
    fn new(hessian: DMatrix<f32>, cols: Range<usize>, settings: &Gptq) -> Option<Self> {
        let order = match settings.order {
            Order::Natural => None,
            Order::Activation => Some(most_active_first(&hessian)),
        };
        let factor = match &order {
            None => Factor::new(&hessian, settings.damping)?,
            Some(order) => Factor::new(&permuted(&hessian, order), settings.damping)?,
        };
        Some(Self { cols, hessian, factor, order })
    }
}

fn most_active_first(hessian: &DMatrix<f32>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hessian.nrows()).collect();
    order.sort_by(|&a, &b| hessian[(b, b)].total_cmp(&hessian[(a, a)]));
    order
}

fn permuted(hessian: &DMatrix<f32>, order: &[usize]) -> DMatrix<f32> {
    DMatrix::from_fn(order.len(), order.len(), |i, j| hessian[(order[i], order[j])])
}

/// Improves rows that are rounded already: `bytes` are read, and written again.
pub fn round(weights: &[f32], grid: &Grid, curvature: &Curvature, bytes: &mut [u8]) {
    let cols = curvature.cols;
    let row_bytes = cols / grid.len * grid.bytes;
    for section in &curvature.sections {
        let at = section.cols.start / grid.len * grid.bytes;
        let size = section.cols.len() / grid.len * grid.bytes;
        let section_of = |row: usize| row * row_bytes + at..row * row_bytes + at + size;
        let rows = weights.len() / cols;
        // A column is a row of the weights.
        let values = DMatrix::from_fn(section.cols.len(), rows, |col, row| {
            tame(weights[row * cols + section.cols.start + col])
        });
        let plain: Vec<Row> = (0..rows).map(|row| read(grid, &bytes[section_of(row)])).collect();
        let fed = columns::round(grid, section, &values);
        for (row, better) in refine::better_of(grid, section, &values, plain, fed, curvature.refine)
        {
            write(grid, &better, &mut bytes[section_of(row)]);
        }
    }
}

/// The blocks of a row's section.
type Row = Vec<Parts>;

fn read(grid: &Grid, bytes: &[u8]) -> Row {
    bytes.chunks_exact(grid.bytes).map(|bytes| grid.read(bytes)).collect()
}

fn write(grid: &Grid, row: &[Parts], bytes: &mut [u8]) {
    for (parts, bytes) in row.iter().zip(bytes.chunks_exact_mut(grid.bytes)) {
        grid.write(parts, bytes);
    }
}

fn tame(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(-1e30, 1e30) }
}
