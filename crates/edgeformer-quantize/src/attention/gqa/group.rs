//! One layer: projections of many key-value heads in, those of fewer out.

use super::align::{self, Merged, pair_product};
use super::cluster::{cluster, neighbours};
use super::{Align, GqaOptions};
use crate::Result;
use crate::attention::AttentionCalibration;
use crate::attention::components::Moments;
use crate::attention::linear::{Matrix, nuclear, sandwich, stack};
use crate::attention::report::LayerReport;
use crate::attention::source::{Projections, Source};

/// The projections of a layer with fewer key-value heads, biases as a last column.
pub(super) struct Grouped {
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub o: Matrix,
    pub report: LayerReport,
}

pub(super) fn convert(
    source: &Source,
    options: &GqaOptions,
    calibration: Option<&AttentionCalibration>,
    layer: usize,
) -> Result<Grouped> {
    let projections = source.projections(layer)?;
    let moment = source.moment(layer, calibration)?;
    let moments = Moments::of(source, &projections, &moment);
    let values = sandwich(&projections.v, &moment);
    let normed = source.has(layer, "attn_k_norm.weight");
    let layer = Layer { source, options, projections, moments, values, normed, index: layer };
    Ok(layer.convert())
}

struct Layer<'a> {
    source: &'a Source,
    options: &'a GqaOptions,
    projections: Projections,
    moments: Moments,
    /// Second moments of all values.
    values: Matrix,
    /// Whether a norm stands between keys and their rotation.
    normed: bool,
    index: usize,
}

impl Layer<'_> {
    fn convert(&self) -> Grouped {
        let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
        let mut outputs = Vec::new();
        let mut kept = [0.0; 2];
        let groups = self.groups();
        for members in &groups {
            let (keys, kept_keys) = self.merge_keys(members);
            let (values, kept_values) = self.merge_values(members);
            let [key_dim, value_dim] = [self.source.key_dim, self.source.value_dim];
            k.push(shared(&self.projections.k, members, key_dim, &keys));
            v.push(shared(&self.projections.v, members, value_dim, &values));
            for (index, &member) in members.iter().enumerate() {
                for head in self.source.queries_of(member) {
                    let query = self.projections.q.rows(head * key_dim, key_dim);
                    q.push(keys.back[index].transpose() * query);
                    let output = self.projections.o.columns(head * value_dim, value_dim);
                    outputs.push((output * &values.back[index]).transpose());
                }
            }
            kept[0] += kept_keys / groups.len() as f64;
            kept[1] += kept_values / groups.len() as f64;
        }
        let [q, k, v] = [q, k, v].map(|parts| stack(&parts));
        let report = LayerReport { layer: self.index, keys: kept[0], values: kept[1] };
        Grouped { q, k, v, o: stack(&outputs).transpose(), report }
    }

    fn groups(&self) -> Vec<Vec<usize>> {
        let heads = self.source.kv_heads;
        let size = heads / self.options.groups;
        if self.options.align == Align::Plain || size == 1 || size == heads {
            return neighbours(heads, size);
        }
        let distances = Matrix::from_fn(heads, heads, |a, b| {
            self.key_distance([a, b]) + self.value_distance([a, b])
        });
        cluster(&distances, size)
    }

    /// What the best rotation leaves between the keys of two heads, as a share of both.
    fn key_distance(&self, heads: [usize; 2]) -> f64 {
        let (source, gram) = (self.source, &self.moments.keys);
        let [a, b] = heads;
        let (mut whole, mut common) = (0.0, 0.0);
        for pair in 0..source.pairs.len() {
            let product = |heads| pair_product(source, gram, pair, heads);
            whole += product([a, a]).re + product([b, b]).re;
            common += if self.normed { product([a, b]).re } else { product([a, b]).norm() };
        }
        let rest = |a: usize, b: usize| {
            let rows = |head: usize| {
                source.rest.iter().map(|column| head * source.key_dim + column).collect::<Vec<_>>()
            };
            gram.select_rows(&rows(a)).select_columns(&rows(b))
        };
        if !source.rest.is_empty() {
            whole += rest(a, a).trace() + rest(b, b).trace();
            common += if self.normed { rest(a, b).trace() } else { nuclear(rest(a, b)) };
        }
        if whole > 0.0 { 1.0 - 2.0 * common / whole } else { 0.0 }
    }

    fn value_distance(&self, [a, b]: [usize; 2]) -> f64 {
        let dim = self.source.value_dim;
        let cross = |a: usize, b: usize| self.values.view((a * dim, b * dim), (dim, dim));
        let whole = cross(a, a).trace() + cross(b, b).trace();
        if whole > 0.0 { 1.0 - 2.0 * nuclear(cross(a, b).into_owned()) / whole } else { 0.0 }
    }

    fn merge_keys(&self, members: &[usize]) -> (Merged, f64) {
        let gram = of_heads(&self.moments.keys, members, self.source.key_dim);
        let weights: Vec<Matrix> = members
            .iter()
            .map(|&member| {
                self.source.queries_of(member).map(|head| self.moments.queries[head].clone()).sum()
            })
            .collect();
        let align =
            if self.normed || members.len() == 1 { Align::Plain } else { self.options.align };
        let merged = align::keys(self.source, &self.moments, members, &gram, &weights, align);
        let kept = merged.kept(&gram, &weights);
        (merged, kept)
    }

    fn merge_values(&self, members: &[usize]) -> (Merged, f64) {
        let dim = self.source.value_dim;
        let gram = of_heads(&self.values, members, dim);
        let outputs = |&member: &usize| {
            let output = |head: usize| {
                let columns = self.projections.o.columns(head * dim, dim);
                columns.transpose() * columns
            };
            self.source.queries_of(member).map(output).sum()
        };
        let weights: Vec<Matrix> = members.iter().map(outputs).collect();
        let merged = Merged::of(&gram, &weights, self.options.align);
        let kept = merged.kept(&gram, &weights);
        (merged, kept)
    }
}

/// The rows and columns of some heads.
fn of_heads(gram: &Matrix, heads: &[usize], dim: usize) -> Matrix {
    let rows: Vec<usize> = heads.iter().flat_map(|head| head * dim..(head + 1) * dim).collect();
    gram.select_rows(&rows).select_columns(&rows)
}

/// The head that members share.
fn shared(rows: &Matrix, members: &[usize], dim: usize, merged: &Merged) -> Matrix {
    let part = |(into, &member): (&Matrix, &usize)| into * rows.rows(member * dim, dim);
    merged.into.iter().zip(members).map(part).sum()
}
