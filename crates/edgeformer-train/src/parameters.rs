//! Which weights of a graph learn.

use candle_core::{Device, Tensor, Var};
use edgeformer_backend_candle::DeviceWeights;
use edgeformer_core::Graph;
use edgeformer_core::graph::WeightId;

use crate::{Error, Result};

/// Which weights learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learning {
    /// All.
    All,
    /// Those of the last blocks, and of what follows them.
    LastBlocks(usize),
    /// What turns the last hidden states into output.
    Head,
    /// Those of these names, as the graph has them.
    Named(Vec<String>),
}

/// A weight that learns.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the graph.
    pub name: String,
    /// Its values.
    pub variable: Var,
}

impl Parameter {
    /// Its values on the host, in their order.
    pub(crate) fn values(&self) -> Result<Vec<f32>> {
        let host = self.variable.as_tensor().to_device(&Device::Cpu)?;
        Ok(host.flatten_all()?.to_vec1::<f32>()?)
    }

    /// Gives it values, in their order.
    pub(crate) fn set_values(&self, values: &[f32]) -> Result<()> {
        let variable = &self.variable;
        let tensor = Tensor::from_slice(values, variable.shape(), variable.device())?;
        Ok(variable.set(&tensor)?)
    }
}

/// The weights of a graph that learn, made variables on their device, in the graph's order.
///
/// # Errors
/// If there is none, a name is unknown, or one of them is kept quantized.
pub fn make_parameters(
    graph: &Graph,
    weights: &mut DeviceWeights,
    learning: &Learning,
) -> Result<Vec<Parameter>> {
    make_variables(graph, weights, &weights_of(graph, learning)?)
}

/// The weights of a graph that learn, in its order.
pub(crate) fn weights_of(graph: &Graph, learning: &Learning) -> Result<Vec<WeightId>> {
    let chosen = chosen(graph, learning)?;
    if chosen.is_empty() {
        return Err(Error::Request("no weight of the model would learn".into()));
    }
    Ok(chosen.into_iter().map(|index| WeightId(index as u32)).collect())
}

/// Makes variables of weights.
pub(crate) fn make_variables(
    graph: &Graph,
    weights: &mut DeviceWeights,
    ids: &[WeightId],
) -> Result<Vec<Parameter>> {
    let make = |&id: &WeightId| {
        let variable = weights.make_trainable(id)?;
        Ok(Parameter { name: graph.weight(id).name.clone(), variable })
    };
    ids.iter().map(make).collect()
}

fn chosen(graph: &Graph, learning: &Learning) -> Result<Vec<usize>> {
    let names = || graph.weights.iter().map(|info| info.name.as_str()).enumerate();
    let blocks = names().filter_map(|(_, name)| block(name)).max().map_or(0, |last| last + 1);
    let from = |first: usize| -> Vec<usize> {
        let learns = |name: &str| match block(name) {
            Some(block) => block >= first,
            None => is_behind_blocks(name),
        };
        names().filter(|(_, name)| learns(name)).map(|(index, _)| index).collect()
    };
    match learning {
        Learning::All => Ok((0..graph.weights.len()).collect()),
        Learning::Head => Ok(from(blocks)),
        Learning::LastBlocks(count) if (1..=blocks).contains(count) => Ok(from(blocks - count)),
        Learning::LastBlocks(count) => {
            let problem = format!("{count} last blocks cannot learn: the model has {blocks}");
            Err(Error::Request(problem))
        }
        Learning::Named(wanted) => {
            if let Some(unknown) = wanted.iter().find(|name| names().all(|(_, n)| n != *name)) {
                let problem = format!("there is no weight {unknown:?} that could learn");
                return Err(Error::Request(problem));
            }
            let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
            Ok(names().filter(|(_, name)| is_wanted(name)).map(|(index, _)| index).collect())
        }
    }
}

/// The block that a weight belongs to: `blk.3.…` and `v.blk.3.…` to 3.
fn block(name: &str) -> Option<usize> {
    let (_, rest) = name.split_once("blk.")?;
    rest.split('.').next()?.parse().ok()
}

/// Whether a weight outside the blocks comes after them.
fn is_behind_blocks(name: &str) -> bool {
    ["output", "cls.", "v.post_ln"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_known_by_their_names() {
        assert_eq!(block("blk.3.attn_q.weight"), Some(3));
        assert_eq!(block("v.blk.11.ln1.bias"), Some(11));
        assert_eq!(block("token_embd.weight"), None);
        assert!(is_behind_blocks("output_norm.weight") && !is_behind_blocks("token_embd.weight"));
    }
}
