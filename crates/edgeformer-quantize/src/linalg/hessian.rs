//! The mean of the products of all pairs of inputs.

use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView};

use crate::{Error, Result};

/// `E[x xᵀ]` over the inputs `x` of a matrix: half the Hessian of the squared error of its
/// products, for every row the same.
///
/// To stay bounded for wide inputs it can be block-diagonal: products of inputs in different
/// blocks are not kept and count as zero. Of each block the upper triangle is stored, as 32-bit
/// sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Hessian {
    size: usize,
    block: usize,
    samples: u64,
    /// Block by block, row by row from the diagonal on.
    sums: Vec<f32>,
}

/// Rows whose products are summed up before they are added to the sums: keeps what is added large
/// enough not to be rounded away.
const BATCH: usize = 512;

/// Rows of the result that one product gives: little of it is below the diagonal.
const STRIP: usize = 64;

const MAGIC: &[u8; 8] = b"EFHESS01";

impl Hessian {
    /// Of no inputs yet: `size` columns in blocks of `block` (the last may be shorter).
    ///
    /// # Panics
    /// Never; a block of zero is taken for one block of all.
    pub fn new(size: usize, block: usize) -> Self {
        let block = if block == 0 { size } else { block.min(size) };
        let mut hessian = Self { size, block, samples: 0, sums: Vec::new() };
        hessian.sums = vec![0.0; hessian.blocks().map(|block| triangle(block.len())).sum()];
        hessian
    }

    /// Columns.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Columns of a block.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Inputs seen.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The columns of every block.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (size, block) = (self.size, self.block.max(1));
        (0..size).step_by(block).map(move |first| first..(first + block).min(size))
    }

    /// Takes inputs in: rows of as many values as there are columns.
    ///
    /// # Errors
    /// If they are not whole rows.
    pub fn add_rows(&mut self, rows: &[f32]) -> Result<()> {
        if self.size == 0 || !rows.len().is_multiple_of(self.size) {
            let problem = format!("{} values are not whole inputs of {}", rows.len(), self.size);
            return Err(Error::Request(problem));
        }
        for batch in rows.chunks(BATCH * self.size) {
            self.add_batch(batch);
        }
        self.samples += (rows.len() / self.size) as u64;
        Ok(())
    }

    fn add_batch(&mut self, rows: &[f32]) {
        // A column of the view is an input.
        let inputs = DMatrixView::from_slice(rows, self.size, rows.len() / self.size);
        let mut sums = self.sums.as_mut_slice();
        for block in (0..self.size).step_by(self.block) {
            let end = (block + self.block).min(self.size);
            for first in (block..end).step_by(STRIP) {
                let height = STRIP.min(end - first);
                let right = inputs.rows(first, end - first);
                // Transposed, so that a row of the triangle is a column here.
                let products = right * inputs.rows(first, height).transpose();
                for (i, products) in products.column_iter().enumerate() {
                    let (row, rest) = sums.split_at_mut(end - first - i);
                    sums = rest;
                    row.iter_mut().zip(products.rows_range(i..).iter()).for_each(|(a, b)| *a += b);
                }
            }
        }
    }

    /// The mean square of every input: what importance matrices hold.
    pub fn diagonal(&self) -> Vec<f32> {
        let mut at = 0;
        let mut diagonal = Vec::with_capacity(self.size);
        for block in self.blocks() {
            for i in 0..block.len() {
                diagonal.push(self.mean(self.sums[at]));
                at += block.len() - i;
            }
        }
        diagonal
    }

    /// One block in full.
    pub(crate) fn dense(&self, index: usize) -> DMatrix<f32> {
        let blocks: Vec<_> = self.blocks().collect();
        let before: usize = blocks[..index].iter().map(|block| triangle(block.len())).sum();
        let len = blocks[index].len();
        let mut full = DMatrix::zeros(len, len);
        let mut at = before;
        for i in 0..len {
            for j in i..len {
                let mean = self.mean(self.sums[at]);
                (full[(i, j)], full[(j, i)]) = (mean, mean);
                at += 1;
            }
        }
        full
    }

    fn mean(&self, sum: f32) -> f32 {
        if self.samples == 0 { 0.0 } else { (f64::from(sum) / self.samples as f64) as f32 }
    }

    /// As bytes, little-endian: a mark of 8 bytes; size, block and samples of 8 bytes each; the
    /// sums of 4 bytes each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 4 * self.sums.len());
        bytes.extend_from_slice(MAGIC);
        for number in [self.size as u64, self.block as u64, self.samples] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend(self.sums.iter().flat_map(|sum| sum.to_le_bytes()));
        bytes
    }

    /// Back from bytes.
    ///
    /// # Errors
    /// If they are no such bytes, or too few or too many of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let problem = |what: &str| Error::Request(format!("statistics of inputs: {what}"));
        let (header, sums) =
            bytes.split_first_chunk::<32>().ok_or_else(|| problem("shorter than their header"))?;
        let (mark, numbers) = header.split_at(8);
        if mark != MAGIC {
            return Err(problem("not such a file, or of another version"));
        }
        let [size, block, samples] =
            [0, 1, 2].map(|i| u64::from_le_bytes(numbers.as_chunks().0[i]));
        let wrong = || problem("their length is not what the header says");
        // Whatever the header claims, no more is allocated than there are bytes.
        let expected = expected(size, block).ok_or_else(wrong)?;
        if sums.len() as u128 != 4 * expected {
            return Err(wrong());
        }
        let sums = sums.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Self { size: size as usize, block: block as usize, samples, sums })
    }
}

/// How many sums a header stands for; none if it makes no sense.
fn expected(size: u64, block: u64) -> Option<u128> {
    if size == 0 || block == 0 || block > size || size > u64::from(u32::MAX) {
        return None;
    }
    let of = |len: u64| u128::from(len) * (u128::from(len) + 1) / 2;
    Some(u128::from(size / block) * of(block) + of(size % block))
}

fn triangle(len: usize) -> usize {
    len * (len + 1) / 2
}
