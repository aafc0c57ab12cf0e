//! Ops on rows: products, norms, elementwise functions, pooling.

use edgeformer_core::Result;
use edgeformer_core::graph::{Activation, AdapterScale, Norm, NormKind, Pool, WeightId};

use super::builder::{Name, int};
use super::{ADAPTER_SCALES, Target, Translator};
use crate::onnx::{Attribute, Dim, Domain, Element};

impl Translator<'_> {
    pub(super) fn linear(
        &mut self,
        x: &str,
        weight: WeightId,
        bias: Option<WeightId>,
    ) -> Result<Name> {
        let product = self.product(x, self.weight_name(weight), self.weight(weight)?.parts())?;
        let Some(bias) = bias else { return Ok(product) };
        let bias = self.small(bias, 0.0)?;
        Ok(self.b.op("Add", &[&product, &bias], vec![]))
    }

    pub(super) fn split(&mut self, x: &str, groups: usize, widths: &[usize]) -> Vec<Name> {
        let group: usize = widths.iter().sum();
        let grouped = match groups {
            1 => x.to_owned(),
            _ => self.b.reshape(x, &[0, 0, groups as i64, group as i64]),
        };
        let sizes: Vec<i64> = widths.iter().map(|&width| width as i64).collect();
        let sizes = self.b.ints(&sizes);
        let axis = vec![("axis", Attribute::Int(-1))];
        let pieces = self.b.ops(Domain::Onnx, "Split", &[&grouped, &sizes], axis, widths.len());
        if groups == 1 {
            return pieces;
        }
        let flat = |(piece, &width): (Name, &usize)| {
            self.b.reshape(&piece, &[0, 0, (groups * width) as i64])
        };
        pieces.into_iter().zip(widths).map(flat).collect()
    }

    pub(super) fn norm(&mut self, x: &str, norm: &Norm) -> Result<Name> {
        let size = self.norm_size(norm)?;
        let scale = match (norm.weight, size) {
            (Some(weight), _) => self.small(weight, norm.weight_offset)?,
            (None, size) => self.b.floats(&[size], &vec![1.0; size]),
        };
        let groups = norm.groups as i64;
        let grouped = match groups {
            1 => x.to_owned(),
            _ => self.b.reshape(x, &[0, 0, groups, size as i64]),
        };
        let attributes =
            vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(norm.eps))];
        let bias = norm.bias.map(|bias| self.small(bias, 0.0)).transpose()?;
        let normal = match (norm.kind, bias) {
            (NormKind::Layer, Some(bias)) => {
                self.b.op("LayerNormalization", &[&grouped, &scale, &bias], attributes)
            }
            (NormKind::Layer, None) => {
                self.b.op("LayerNormalization", &[&grouped, &scale], attributes)
            }
            (NormKind::Rms, bias) => {
                // The same before the standard had it.
                let op = match self.options.plain {
                    true => "SimplifiedLayerNormalization",
                    false => "RMSNormalization",
                };
                let normal = self.b.op(op, &[&grouped, &scale], attributes);
                match bias {
                    Some(bias) => self.b.op("Add", &[&normal, &bias], vec![]),
                    None => normal,
                }
            }
        };
        Ok(match groups {
            1 => normal,
            _ => self.b.reshape(&normal, &[0, 0, groups * size as i64]),
        })
    }

    /// Columns of a group.
    fn norm_size(&self, norm: &Norm) -> Result<usize> {
        match norm.weight {
            Some(weight) => Ok(self.weight(weight)?.shape()[0]),
            None => Ok(self.input_width / norm.groups),
        }
    }

    pub(super) fn activation(&mut self, x: &str, activation: Activation) -> Name {
        match activation {
            Activation::Silu => {
                let gate = self.b.op("Sigmoid", &[x], vec![]);
                self.b.op("Mul", &[x, &gate], vec![])
            }
            Activation::Gelu => self.b.op("Gelu", &[x], vec![]),
            Activation::GeluTanh => {
                self.b.op("Gelu", &[x], vec![("approximate", Attribute::Text("tanh"))])
            }
            Activation::Relu => self.b.op("Relu", &[x], vec![]),
            Activation::Sigmoid => self.b.op("Sigmoid", &[x], vec![]),
            Activation::Tanh => self.b.op("Tanh", &[x], vec![]),
        }
    }

    pub(super) fn scale(&mut self, x: &str, factor: f32) -> Name {
        let factor = self.b.float(factor);
        self.b.op("Mul", &[x, &factor], vec![])
    }

    /// A session is told the factor of the sequence that runs, for each adapter; in a file adapters
    /// act as usual.
    pub(super) fn adapter_scale(&mut self, x: &str, scale: &AdapterScale) -> Name {
        if self.options.target == Target::File {
            return self.scale(x, scale.factor * scale.usual);
        }
        let count = Dim::Known(self.model.graph.adapters());
        let scales = self.b.input(ADAPTER_SCALES, Element::F32, &[count]);
        let adapter = self.b.index(scale.adapter);
        let own = self.b.op("Gather", &[&scales, &adapter], vec![("axis", int(0))]);
        let scaled = self.b.op("Mul", &[x, &own], vec![]);
        if scale.factor == 1.0 { scaled } else { self.scale(&scaled, scale.factor) }
    }

    pub(super) fn soft_cap(&mut self, x: &str, cap: f32) -> Name {
        let bound = self.b.float(cap);
        let x = self.b.op("Div", &[x, &bound], vec![]);
        let x = self.b.op("Tanh", &[&x], vec![]);
        self.b.op("Mul", &[&x, &bound], vec![])
    }

    /// One row of all, `[batch, 1, width]`.
    pub(super) fn pool(&mut self, x: &str, pool: Pool) -> Name {
        let rows = self.b.ints(&[1]);
        match pool {
            Pool::Mean => self.b.op("ReduceMean", &[x, &rows], vec![("keepdims", int(1))]),
            Pool::Max => self.b.op("ReduceMax", &[x, &rows], vec![("keepdims", int(1))]),
            Pool::Class => self.b.slice(x, 1, 0, 1),
            Pool::Last => {
                let last = self.b.ints(&[-1]);
                self.b.op("Gather", &[x, &last], vec![("axis", int(1))])
            }
        }
    }
}
