use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;

/// Which rows a value has: some of each sequence, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// Position of the first row of each sequence, and how many there are.
    spans: Vec<(usize, usize)>,
}

/// A value: rows, and where they stand.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// `[rows, width]`.
    pub x: Tensor,
    pub at: Arc<Places>,
}

impl Places {
    pub fn new(spans: impl IntoIterator<Item = (usize, usize)>) -> Self {
        Self { spans: spans.into_iter().collect() }
    }

    /// Rows of all sequences.
    pub fn len(&self) -> usize {
        self.spans.iter().map(|&(_, count)| count).sum()
    }

    /// The first position and the number of rows of each sequence.
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// The position of every row.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.spans.iter().flat_map(|&(first, count)| first..first + count)
    }

    /// The rows of each sequence, counted over all.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.spans.iter().scan(0, |start, &(_, count)| {
            let range = *start..*start + count;
            *start = range.end;
            Some(range)
        })
    }

    /// Of each sequence some rows only, counted within its own.
    pub fn of(&self, wanted: &[Range<usize>]) -> Self {
        Self::new(self.spans.iter().zip(wanted).map(|(&(first, count), wanted)| {
            let (start, end) = (wanted.start.min(count), wanted.end.min(count));
            (first + start, end - start)
        }))
    }
}

impl Rows {
    /// The same rows with other values.
    pub fn with(&self, x: Tensor) -> Self {
        Self { x, at: self.at.clone() }
    }

    /// The rows of a sequence, `[rows, width]`.
    pub fn part(&self, range: Range<usize>) -> Result<Tensor> {
        Ok(self.x.narrow(0, range.start, range.len())?)
    }

    /// Of each sequence some rows only; at least one of all.
    pub fn narrowed(&self, wanted: &[Range<usize>]) -> Result<Self> {
        let at = self.at.of(wanted);
        if at == *self.at {
            return Ok(self.clone());
        }
        let mut parts = Vec::new();
        for ((range, wanted), &(_, count)) in self.at.ranges().zip(wanted).zip(at.spans()) {
            if count > 0 {
                parts.push(self.x.narrow(0, range.start + wanted.start, count)?);
            }
        }
        Ok(Self { x: below(&parts)?, at: Arc::new(at) })
    }
}

/// Tensors below each other.
pub(super) fn below(parts: &[Tensor]) -> Result<Tensor> {
    Ok(match parts {
        [one] => one.clone(),
        several => Tensor::cat(several, 0)?,
    })
}
