use serde::{Deserialize, Serialize};

/// A matrix of rows, an index into [`Graph::values`](super::Graph).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value(pub u32);

impl Value {
    /// The index into [`Graph::values`](super::Graph).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueInfo {
    /// Columns.
    pub width: usize,
    /// What a row stands for.
    pub rows: RowKind,
}

/// What the rows of a value stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// One row a token of the step.
    Token,
    /// This many rows a sequence: patches of an image, with class tokens.
    Patch(usize),
    /// One row a sequence.
    Sequence,
}

/// A weight, an index into [`Graph::weights`](super::Graph).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightId(pub u32);

impl WeightId {
    /// The index into [`Graph::weights`](super::Graph).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A weight that a graph asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightInfo {
    /// Its name, GGUF's for every source: `blk.0.attn_q.weight`.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
}
