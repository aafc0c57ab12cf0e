//! Low-rank adapters: small matrices beside some weights of a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{AdapterChoice, LowRankTerm};
use crate::{Backing, Error, Graph, Model, Result, Tensor, Weight};

/// A low-rank adapter (LoRA, Hu et al., arXiv 2106.09685): what is added to some weights of a
/// model, each as the product of two small matrices.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    /// What messages call it, as a rule the path of its files.
    pub name: String,
    /// What is added to the weight of that name in the graph.
    pub pairs: BTreeMap<String, LowRank>,
    /// Files that the tensors are slices of.
    pub backings: Vec<Arc<dyn Backing>>,
}

/// `scale · B A`, to be added to a weight `[out, in]`; or one such matrix for each of several that
/// are stacked to `[count, out, in]`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// `A`: `[rank, in]`, or `[count, rank, in]`.
    pub a: Tensor,
    /// `B`: `[out, rank]`, or `[count, out, rank]`.
    pub b: Tensor,
    /// What the product is multiplied with: `alpha / rank` as a rule, times what the user chose.
    pub scale: f32,
}

impl LowRank {
    /// Rows of `A` and columns of `B`.
    pub fn rank(&self) -> usize {
        self.b.row_len()
    }

    /// The shape of the weight that it is for.
    ///
    /// # Errors
    /// If `A` and `B` do not fit each other.
    pub fn shape(&self) -> Result<Vec<usize>, String> {
        match (self.a.shape(), self.b.shape()) {
            (&[rank, columns], &[out, other]) if rank == other => Ok(vec![out, columns]),
            (&[count, rank, columns], &[many, out, other]) if (count, rank) == (many, other) => {
                Ok(vec![count, out, columns])
            }
            (a, b) => Err(format!(
                "A has shape {a:?} and B {b:?}, their ranks must be one: get the adapter again"
            )),
        }
    }

    /// Whether it fits a weight of that shape.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self, shape: &[usize]) -> Result<(), String> {
        if !self.scale.is_finite() {
            return Err(format!("its scale is {}, it must be a finite number", self.scale));
        }
        let own = self.shape()?;
        if own == shape {
            return Ok(());
        }
        Err(format!(
            "it is for a weight of shape {own:?}, the model's is {shape:?}: it belongs to another model"
        ))
    }
}

impl Adapter {
    /// The adapter with all of its scales multiplied.
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        self.pairs.values_mut().for_each(|pair| pair.scale *= factor);
        self
    }

    /// An error about the part for a weight.
    pub fn error(&self, weight: &str, problem: impl Into<String>) -> Error {
        Error::Adapter {
            adapter: self.name.clone(),
            weight: weight.into(),
            problem: problem.into(),
        }
    }

    /// The part for a weight, as a graph sees it.
    fn term(
        &self,
        graph: &Graph,
        name: &str,
        pair: &LowRank,
        choice: Option<AdapterChoice>,
    ) -> Result<LowRankTerm> {
        let weight = graph.weight_id(name).ok_or_else(|| {
            self.error(name, "the model has no such weight: the adapter belongs to another")
        })?;
        pair.check(&graph.weight(weight).shape).map_err(|problem| self.error(name, problem))?;
        graph.check_adaptable(weight).map_err(|problem| {
            self.error(name, format!("{problem}: merge the adapter into the weights instead"))
        })?;
        Ok(LowRankTerm { weight, rank: pair.rank(), scale: pair.scale, choice })
    }
}

impl Model {
    /// The model with an adapter beside its weights: a graph that has the adapter's products as
    /// nodes, and its matrices as weights. Further adapters add to it.
    ///
    /// # Errors
    /// If a weight is not in the graph or not the matrix of a linear layer alone, if shapes do not
    /// fit, or a scale is no finite number.
    pub fn with_adapter(&self, adapter: &Adapter) -> Result<Self> {
        self.adapted(adapter, None)
    }

    /// The same with an adapter that each sequence may scale in its own way
    /// ([`KvCache::set_adapters`](crate::KvCache::set_adapters)): it is the last of
    /// [`Graph::adapters`]. `usual` is its scale in sequences that say nothing.
    ///
    /// # Errors
    /// As [`with_adapter`](Self::with_adapter).
    pub fn with_adapter_by_sequence(&self, adapter: &Adapter, usual: f32) -> Result<Self> {
        self.adapted(adapter, Some(AdapterChoice { adapter: self.graph.adapters(), usual }))
    }

    fn adapted(&self, adapter: &Adapter, choice: Option<AdapterChoice>) -> Result<Self> {
        let term =
            |(name, pair): (&String, &LowRank)| adapter.term(&self.graph, name, pair, choice);
        let terms = adapter.pairs.iter().map(term);
        let (graph, names) = self.graph.with_low_rank(&terms.collect::<Result<Vec<_>>>()?)?;
        let mut weights = self.weights.clone();
        for (names, pair) in names.into_iter().zip(adapter.pairs.values()) {
            weights.insert(names.a, Weight::whole(pair.a.clone()));
            weights.insert(names.b, Weight::whole(pair.b.clone()));
        }
        adapter.backings.iter().for_each(|backing| weights.add_backing(backing.clone()));
        Ok(Self { graph, weights })
    }
}
