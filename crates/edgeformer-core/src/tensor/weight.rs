use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::graph::WeightInfo;
use crate::{Error, FileStamp, Graph, Result, Tensor};

/// A weight of the graph: one tensor, or several that follow each other along the first
/// dimension (experts that a file keeps apart, fused projections).
#[derive(Debug, Clone)]
pub struct Weight {
    parts: Vec<Tensor>,
    shape: Vec<usize>,
}

impl Weight {
    /// A weight of one tensor.
    pub fn whole(tensor: Tensor) -> Self {
        Self { shape: tensor.shape().to_vec(), parts: vec![tensor] }
    }

    /// Matrices of one shape `[rows, cols]`, stacked to `[parts, rows, cols]`.
    ///
    /// # Errors
    /// If there is none, or their shapes differ.
    pub fn stacked(name: &str, parts: Vec<Tensor>) -> Result<Self> {
        let shape = match parts.first() {
            Some(first) if parts.iter().all(|part| part.shape() == first.shape()) => first.shape(),
            Some(_) => {
                return Err(problem(name, "the stacked tensors have different shapes".into()));
            }
            None => return Err(problem(name, "nothing to stack".into())),
        };
        let shape = std::iter::once(parts.len()).chain(shape.iter().copied()).collect();
        Ok(Self { parts, shape })
    }

    /// Matrices `[rows_i, cols]`, one below the other: `[sum of rows, cols]`.
    ///
    /// # Errors
    /// If there is none, or their trailing dimensions differ.
    pub fn concatenated(name: &str, parts: Vec<Tensor>) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(problem(name, "nothing to concatenate".into()));
        };
        let tail = first.shape().get(1..).unwrap_or_default().to_vec();
        if parts.iter().any(|part| part.shape().get(1..) != Some(&tail)) {
            return Err(problem(name, "the concatenated tensors have different widths".into()));
        }
        let rows = parts.iter().map(|part| part.shape()[0]).sum();
        let shape = std::iter::once(rows).chain(tail).collect();
        Ok(Self { parts, shape })
    }

    /// Its dimensions over all parts.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The tensors it is made of, in order. Each has whole rows, and they may differ in format.
    pub fn parts(&self) -> &[Tensor] {
        &self.parts
    }

    /// Bytes of all parts.
    pub fn byte_len(&self) -> usize {
        self.parts.iter().map(|part| part.bytes().len()).sum()
    }

    /// All values as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        self.parts.iter().flat_map(Tensor::to_f32).collect()
    }
}

/// The weights of a model by the names that its graph uses (GGUF's names, for every source).
#[derive(Debug, Clone, Default)]
pub struct Weights {
    by_name: BTreeMap<String, Weight>,
    backings: Vec<Arc<dyn Backing>>,
}

/// Memory that tensors are slices of, if it can do without holding their bytes: a mapped file.
pub trait Backing: Send + Sync + fmt::Debug {
    /// Gives up the memory of bytes that will not be read soon, if they are its own. They stay
    /// readable: the next read fetches them again.
    fn release(&self, bytes: &[u8]);

    /// Gives up all of its memory, as [`Backing::release`] does with a part.
    fn release_all(&self);

    /// How the file was when it was opened, if it is one.
    fn stamp(&self) -> Option<FileStamp>;
}

impl Weights {
    /// Adds a weight; one of the same name is replaced and returned.
    pub fn insert(&mut self, name: impl Into<String>, weight: Weight) -> Option<Weight> {
        self.by_name.insert(name.into(), weight)
    }

    /// Tells what memory some of the weights are slices of.
    pub fn add_backing(&mut self, backing: Arc<dyn Backing>) {
        self.backings.push(backing);
    }

    /// Gives up the memory of bytes of a tensor that will not be read soon, where it is a file's.
    /// They stay readable.
    pub fn release(&self, bytes: &[u8]) {
        self.backings.iter().for_each(|backing| backing.release(bytes));
    }

    /// Gives up the memory of all weights, and of what else the files of them hold. All stay
    /// readable.
    pub fn release_all(&self) {
        self.backings.iter().for_each(|backing| backing.release_all());
    }

    /// How the files that the weights are slices of were when they were opened.
    pub fn stamps(&self) -> Vec<FileStamp> {
        self.backings.iter().filter_map(|backing| backing.stamp()).collect()
    }

    /// The weight of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str) -> Result<&Weight> {
        self.by_name.get(name).ok_or_else(|| problem(name, "is missing".into()))
    }

    /// All weights, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Weight)> {
        self.by_name.iter().map(|(name, weight)| (name.as_str(), weight))
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether every weight that `graph` names is here, in its shape.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        graph.weights.iter().try_for_each(|info| self.check_one(info))
    }

    fn check_one(&self, info: &WeightInfo) -> Result<()> {
        let weight = self.get(&info.name)?;
        if weight.shape() == info.shape {
            return Ok(());
        }
        Err(problem(
            &info.name,
            format!("has shape {:?}, the model's family needs {:?}", weight.shape(), info.shape),
        ))
    }
}

fn problem(name: &str, problem: String) -> Error {
    Error::Weight { name: name.into(), problem }
}
