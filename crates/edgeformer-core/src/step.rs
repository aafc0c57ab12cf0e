use crate::{Rows, SequenceId};

/// One forward pass over a ragged batch: spans of several sequences, prompt chunks and single
/// tokens mixed. A sequence appears in at most one span of a step.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The spans, in the order in which [`Outputs`] lists their rows.
    pub spans: &'a [Span<'a>],
}

/// The part of a step that belongs to one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// The sequence that the input continues. Its first row has position `cache.len(sequence)`.
    pub sequence: SequenceId,
    /// What goes in.
    pub input: Input<'a>,
    /// Which rows of the output come back.
    pub want: Want,
}

/// What a span feeds into the graph. It must match the graph's [`GraphInput`](crate::graph::GraphInput).
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Token ids, at least one.
    Tokens(&'a [u32]),
    /// One image, `[channels, height, width]`, already normalised.
    Pixels(&'a [f32]),
    /// One signal, `[channels, samples]`, already normalised.
    Signal(&'a [f32]),
}

/// Which output rows of a span are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// None: a prompt chunk that only fills the cache.
    Nothing,
    /// The last row: enough to sample the next token. A pooled output has one row, its last.
    Last,
    /// A row for every row of the span.
    All,
}

/// The output rows of a step: owned by the caller, reused from step to step.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Outputs {
    data: Vec<f32>,
    width: usize,
    /// First row of every span, and the end.
    starts: Vec<usize>,
}

impl Outputs {
    /// Empties the outputs and makes room for `counts` rows a span, each `width` wide; the new
    /// rows are zero. Called by backends at the start of a step. Allocates only to grow.
    pub fn reset(&mut self, width: usize, counts: impl IntoIterator<Item = usize>) {
        let total = self.count(width, counts);
        self.data.clear();
        self.data.resize(total * width, 0.0);
    }

    /// Holds the same rows as those given, `counts` a span, each `width` wide, one behind the
    /// other. Allocates only to grow.
    ///
    /// # Panics
    /// If there are not as many values as the counts say.
    pub fn copy_from(
        &mut self,
        width: usize,
        counts: impl IntoIterator<Item = usize>,
        rows: &[f32],
    ) {
        let total = self.count(width, counts);
        assert_eq!(rows.len(), total * width, "values of {total} rows, each {width} wide");
        self.data.clear();
        self.data.extend_from_slice(rows);
    }

    /// Takes the counts down; how many rows that are.
    fn count(&mut self, width: usize, counts: impl IntoIterator<Item = usize>) -> usize {
        self.width = width;
        self.starts.clear();
        self.starts.push(0);
        let mut total = 0;
        for count in counts {
            total += count;
            self.starts.push(total);
        }
        total
    }

    /// Columns of a row: the vocabulary for logits, the hidden width for encoders.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of span `index`.
    ///
    /// # Panics
    /// If the step had no such span.
    pub fn span(&self, index: usize) -> Rows<'_> {
        let (from, to) = (self.starts[index], self.starts[index + 1]);
        Rows::new(&self.data[from * self.width..to * self.width], self.width.max(1))
    }

    /// All rows of all spans.
    pub fn rows(&self) -> Rows<'_> {
        Rows::new(&self.data, self.width.max(1))
    }

    /// All rows of all spans, for a backend to fill.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_different_lengths_keep_their_rows() {
        let mut outputs = Outputs::default();
        outputs.reset(2, [1, 0, 2]);
        outputs.data_mut().copy_from_slice(&[1., 2., 3., 4., 5., 6.]);
        assert_eq!(outputs.span(0).data(), [1., 2.]);
        assert!(outputs.span(1).is_empty());
        assert_eq!(outputs.span(2).row(1), [5., 6.]);
    }
}
