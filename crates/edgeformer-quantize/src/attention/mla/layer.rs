//! One layer: matrices of ordinary attention in, those of latent attention out.

use nalgebra::Complex;

use super::factor::Joint;
use super::plan::{Plan, moment};
use super::{MlaOptions, Weighting};
use crate::Result;
use crate::attention::AttentionCalibration;
use crate::attention::components::{Components, Moments, add_turned, components};
use crate::attention::linear::{Matrix, block_diagonal, stack};
use crate::attention::report::LayerReport;
use crate::attention::source::{Projections, Source};

/// The matrices of latent attention, the biases of queries and of the shared keys as a last
/// column.
pub(super) struct Latent {
    /// `[heads * (nope_dim + rope_dims), width + 1]`.
    pub q: Matrix,
    /// `[rank + rope_dims, width + 1]`.
    pub kv_a: Matrix,
    /// `[heads * rank, nope_dim]`.
    pub k_b: Matrix,
    /// `[heads * value_dim, rank]`.
    pub v_b: Matrix,
    /// What the values' biases add to the output's.
    pub o_bias: Matrix,
    pub report: LayerReport,
}

pub(super) fn convert(
    source: &Source,
    plan: &Plan,
    options: &MlaOptions,
    calibration: Option<&AttentionCalibration>,
    layer: usize,
) -> Result<Latent> {
    let mut projections = source.projections(layer)?;
    scale_rotated(source, plan.rotated_scale, &mut projections.q);
    let moment = moment(source, options.weighting, calibration, layer)?;
    let moments = Moments::of(source, &projections, &moment);
    let members: Vec<usize> = (0..source.kv_heads).collect();
    let parts =
        Parts { source, plan, components: components(source, &moments, &members), projections };

    // Readers divide scores by the root of the width of the new heads.
    let scale = source.scale() * ((plan.nope_dim + plan.rope_dims) as f64).sqrt();
    let inner = moment.view((0, 0), (source.width, source.width)).into_owned();
    let joint = Joint {
        keys: parts.nope_keys(),
        values: parts.projections.v.columns(0, source.width).into_owned(),
        weights: match options.weighting {
            Weighting::Plain => None,
            Weighting::Inputs => Some([parts.key_weights(&moments), parts.value_weights()]),
        },
        moment: inner,
        norm: source.vector(layer, "attn_norm.weight")?.unwrap_or_default(),
    };
    let factors = joint.factorise(plan.rank, options.norm);
    let down = factors.down.insert_column(source.width, 0.0);
    let [key_rows, value_rows] = [plan.nope_rows, joint.values.nrows()];
    let [up_keys, up_values] = [(0, key_rows), (key_rows, value_rows)]
        .map(|(from, len)| factors.up.rows(from, len).into_owned());
    Ok(Latent {
        q: parts.queries() * scale,
        kv_a: stack(&[down, parts.rope_keys()]),
        k_b: parts.key_ups(&up_keys),
        v_b: parts.value_ups(&up_values),
        o_bias: parts.output_bias(),
        report: LayerReport {
            layer,
            keys: parts.kept_keys(factors.kept[0]),
            values: factors.kept[1],
        },
    })
}

/// Moves what sines and cosines are multiplied with into the queries.
fn scale_rotated(source: &Source, scale: f64, q: &mut Matrix) {
    if scale == 1.0 {
        return;
    }
    for head in 0..source.heads {
        for column in source.pairs.iter().flatten() {
            q.row_mut(head * source.key_dim + column).scale_mut(scale);
        }
    }
}

struct Parts<'a> {
    source: &'a Source,
    plan: &'a Plan,
    components: Vec<Components>,
    projections: Projections,
}

impl Parts<'_> {
    fn kv_head_of(&self, head: usize) -> usize {
        head / (self.source.heads / self.source.kv_heads)
    }

    fn rows(&self, head: usize, pair: usize) -> [usize; 2] {
        self.source.pairs[pair].map(|column| head * self.source.key_dim + column)
    }

    /// A component's two rows of keys, added to two rows of `to`.
    fn add_key(&self, to: &mut Matrix, at: usize, pair: usize, component: usize) {
        for head in 0..self.source.kv_heads {
            let factor = self.components[pair].of_keys[(component, head)];
            add_turned(to, [at, at + 1], &self.projections.k, self.rows(head, pair), factor);
        }
    }

    /// The shared keys that keep their rotation, `[rope_dims, width + 1]`.
    fn rope_keys(&self) -> Matrix {
        let mut keys = Matrix::zeros(self.plan.rope_dims, self.source.width + 1);
        let mut at = 0;
        for (pair, &kept) in self.plan.kept.iter().enumerate() {
            for component in 0..kept {
                self.add_key(&mut keys, at, pair, component);
                at += 2;
            }
        }
        keys
    }

    /// The keys without position, `[nope_rows, width]`. Their biases would add the same to the
    /// scores of all keys, which the softmax does not see.
    fn nope_keys(&self) -> Matrix {
        let mut keys = Matrix::zeros(self.plan.nope_rows, self.source.width + 1);
        let mut at = 0;
        for (pair, &kept) in self.plan.kept.iter().enumerate() {
            for component in kept..self.source.kv_heads {
                self.add_key(&mut keys, at, pair, component);
                at += 2;
            }
        }
        for head in 0..self.source.kv_heads {
            for column in &self.source.rest {
                let row = self.projections.k.row(head * self.source.key_dim + column);
                keys.row_mut(at).copy_from(&row);
                at += 1;
            }
        }
        keys.remove_column(self.source.width)
    }

    /// What a query of a head, in the columns that [`Parts::nope_columns`] names, is multiplied
    /// with to meet the keys without position: `[nope_rows, nope_dim]`.
    fn nope_map(&self, head: usize) -> Matrix {
        let (source, kv_head) = (self.source, self.kv_head_of(head));
        let mut map = Matrix::zeros(self.plan.nope_rows, self.plan.nope_dim);
        let (mut at, mut column) = (0, 0);
        for (pair, &kept) in self.plan.kept.iter().enumerate() {
            for component in kept..source.kv_heads {
                let factor = self.components[pair].of_queries[(kv_head, component)]
                    * self.plan.mean_rotation[pair].conj();
                let Complex { re, im } = factor;
                map[(at, column)] = re;
                map[(at, column + 1)] = -im;
                map[(at + 1, column)] = im;
                map[(at + 1, column + 1)] = re;
                at += 2;
            }
            column += if kept < source.kv_heads { 2 } else { 0 };
        }
        for index in 0..source.rest.len() {
            map[(at + kv_head * source.rest.len() + index, column + index)] = 1.0;
        }
        map
    }

    /// Columns of a query head that meet keys without position.
    fn nope_columns(&self) -> Vec<usize> {
        let left = self.plan.kept.iter().zip(&self.source.pairs);
        let pairs =
            left.filter(|(kept, _)| **kept < self.source.kv_heads).flat_map(|(_, pair)| *pair);
        pairs.chain(self.source.rest.iter().copied()).collect()
    }

    /// Queries: of each head the columns without position, then those that meet the shared keys.
    fn queries(&self) -> Matrix {
        let (source, plan) = (self.source, self.plan);
        let width = plan.nope_dim + plan.rope_dims;
        let columns = self.nope_columns();
        let mut queries = Matrix::zeros(source.heads * width, source.width + 1);
        for head in 0..source.heads {
            let kv_head = self.kv_head_of(head);
            for (index, column) in columns.iter().enumerate() {
                let row = self.projections.q.row(head * source.key_dim + column);
                queries.row_mut(head * width + index).copy_from(&row);
            }
            let mut at = head * width + plan.nope_dim;
            for (pair, &kept) in plan.kept.iter().enumerate() {
                for component in 0..kept {
                    let factor = self.components[pair].of_queries[(kv_head, component)];
                    let from = self.rows(head, pair);
                    add_turned(&mut queries, [at, at + 1], &self.projections.q, from, factor);
                    at += 2;
                }
            }
        }
        queries
    }

    /// How errors of keys without position weigh: the sum over heads of their queries' moments.
    fn key_weights(&self, moments: &Moments) -> Matrix {
        let columns = self.nope_columns();
        let mut weights = Matrix::zeros(self.plan.nope_rows, self.plan.nope_rows);
        for head in 0..self.source.heads {
            let map = self.nope_map(head).columns(0, columns.len()).into_owned();
            let queries = moments.queries[head].select_rows(&columns).select_columns(&columns);
            weights += &map * queries * map.transpose();
        }
        weights
    }

    /// How errors of values weigh: the sum over heads of what the output projection makes of them.
    fn value_weights(&self) -> Matrix {
        let dim = self.source.value_dim;
        let block = |kv_head: usize| {
            let mut block = Matrix::zeros(dim, dim);
            for head in self.source.queries_of(kv_head) {
                let output = self.projections.o.columns(head * dim, dim);
                block += output.transpose() * output;
            }
            block
        };
        block_diagonal(&(0..self.source.kv_heads).map(block).collect::<Vec<_>>())
    }

    /// `attn_k_b`: for each head what takes its query to the latent.
    fn key_ups(&self, up: &Matrix) -> Matrix {
        let ups = (0..self.source.heads).map(|head| up.transpose() * self.nope_map(head));
        stack(&ups.collect::<Vec<_>>())
    }

    /// `attn_v_b`: for each head its values of the latent.
    fn value_ups(&self, up: &Matrix) -> Matrix {
        let dim = self.source.value_dim;
        let ups = (0..self.source.heads)
            .map(|head| up.rows(self.kv_head_of(head) * dim, dim).into_owned());
        stack(&ups.collect::<Vec<_>>())
    }

    /// Attention's weights add up to one, so a bias of values is one of the output.
    fn output_bias(&self) -> Matrix {
        let (dim, bias) = (self.source.value_dim, self.projections.v.column(self.source.width));
        let mut sum = Matrix::zeros(self.source.width, 1);
        for head in 0..self.source.heads {
            let bias = bias.rows(self.kv_head_of(head) * dim, dim);
            sum += self.projections.o.columns(head * dim, dim) * bias;
        }
        sum
    }

    /// The share of the rotated keys' energy that is left, where `latent` of that of keys without
    /// position is.
    fn kept_keys(&self, latent: f64) -> f64 {
        let (mut whole, mut left) = (0.0, 0.0);
        for (pair, Components { energy, .. }) in self.components.iter().enumerate() {
            let mean = self.plan.mean_rotation[pair].norm_sqr();
            for (component, energy) in energy.iter().enumerate() {
                let rotated = component < self.plan.kept[pair];
                whole += energy;
                left += energy * if rotated { 1.0 } else { mean * latent };
            }
        }
        if whole > 0.0 { left / whole } else { 1.0 }
    }
}
