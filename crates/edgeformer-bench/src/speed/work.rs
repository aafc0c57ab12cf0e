//! How much a case has to compute and to read: what its share of a limit is reckoned from.

use std::collections::BTreeMap;

use edgeformer_core::graph::{Graph, LatentUp, Op, WeightId};
use edgeformer_core::{CacheFormat, Format, Model};

use super::{Case, Limit};
use crate::Result;
use crate::limits::ThreadLimits;

/// What a model's tokens cost. Matrices count, attention's own products do not: they are what
/// falls short of the limit at depth.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workload {
    /// Weights that every token is multiplied with.
    layers: f64,
    /// Weights that are multiplied with the last token of a prompt alone: the vocabulary's.
    head: f64,
    /// Bytes of all of them.
    bytes: f64,
    /// Elements that are cached of a token: of keys and latents, of values.
    cached: (f64, f64),
    /// The format that most bytes are in.
    format: Option<Format>,
}

impl Workload {
    /// Of a model.
    ///
    /// # Errors
    /// If a weight of the graph is missing.
    pub fn of(model: &Model) -> Result<Self> {
        let graph = &model.graph;
        let uses: Vec<(WeightId, f64)> =
            graph.nodes.iter().flat_map(|node| matrices(&node.op)).collect();
        let head = graph.nodes.iter().rev().find_map(|node| match node.op {
            Op::Linear { weight, .. } => Some(weight),
            _ => None,
        });
        let mut work = Self { cached: cached(graph), ..Self::default() };
        let mut formats: BTreeMap<Format, f64> = BTreeMap::new();
        for (at, (id, share)) in uses.iter().enumerate() {
            let weight = model.weights.get(&graph.weight(*id).name)?;
            let elements = share * weight.shape().iter().product::<usize>() as f64;
            // The head is the last product; a table that is used twice is two products.
            let last = Some(*id) == head && !uses[at + 1..].iter().any(|(later, _)| later == id);
            *if last { &mut work.head } else { &mut work.layers } += elements;
            work.bytes += share * weight.byte_len() as f64;
            for part in weight.parts().iter().filter(|_| !last) {
                *formats.entry(part.format()).or_default() += share * part.bytes().len() as f64;
            }
        }
        work.format = formats.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|found| found.0);
        Ok(work)
    }

    /// The format that most bytes of the layers are in.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// What bounds a case, and how much of it a token takes on average: operations for a prompt,
    /// bytes for an answer. `None` where the two are mixed, or the limit was not measured.
    pub fn limit(
        &self,
        case: Case,
        cache: (CacheFormat, CacheFormat),
        isa: &str,
        limits: &ThreadLimits,
    ) -> Option<(Limit, f64)> {
        match case {
            Case::Prefill { tokens, .. } => {
                let name = sequence(isa, self.format?)?;
                let value = limits.peak(name)?;
                let each = 2.0 * (self.layers + self.head / tokens as f64);
                Some((Limit { name: name.into(), value, unit: "Gop/s".into() }, each))
            }
            Case::Decode { tokens, depth } => {
                let behind = depth as f64 + tokens as f64 / 2.0;
                let each = self.bytes + behind * self.cache_bytes(cache);
                let value = limits.read_gb_per_second;
                Some((Limit { name: "read bandwidth".into(), value, unit: "GB/s".into() }, each))
            }
            Case::EndToEnd { .. } => None,
        }
    }

    /// Bytes that are cached of a token.
    fn cache_bytes(&self, (keys, values): (CacheFormat, CacheFormat)) -> f64 {
        let each = |format: CacheFormat| format.row_bytes(32).map_or(0.0, |row| row as f64 / 32.0);
        self.cached.0 * each(keys) + self.cached.1 * each(values)
    }
}

/// Matrices of an op, each with the share of it that a token goes through.
fn matrices(op: &Op) -> Vec<(WeightId, f64)> {
    match op {
        Op::Linear { weight, .. } => vec![(*weight, 1.0)],
        Op::LatentAttention(attention) => match attention.up {
            LatentUp::Fused { weight } => vec![(weight, 1.0)],
            LatentUp::Split { key, value } => vec![(key, 1.0), (value, 1.0)],
        },
        Op::Experts(experts) => {
            let share = experts.top_k as f64 / experts.count.max(1) as f64;
            let picked = [experts.gate, experts.up, experts.down].map(|id| (id, share));
            std::iter::once((experts.router, 1.0)).chain(picked).collect()
        }
        _ => Vec::new(),
    }
}

fn cached(graph: &Graph) -> (f64, f64) {
    let slots = graph.cache.slots.iter().map(|slot| slot.elements());
    slots.fold((0.0, 0.0), |sum, one| (sum.0 + one.0 as f64, sum.1 + one.1 as f64))
}

/// The instructions that kernels of a set multiply weights of a format with.
fn sequence(isa: &str, format: Format) -> Option<&'static str> {
    let wide = isa.starts_with("avx512") || isa.contains("vnni");
    match format {
        Format::F32 | Format::F16 | Format::BF16 => Some("f32 fma"),
        _ if wide => Some("int8 vpdpbusd"),
        _ if isa == "i8mm" => Some("int8 smmla"),
        _ if isa == "dotprod" => Some("int8 sdot"),
        _ if isa == "neon" => Some("int8 smull"),
        _ if isa != "avx2" => None,
        // Products of 4 bits can be added up in 16 bits before they are widened.
        Format::Q4_0 | Format::Q4_1 | Format::Q4K | Format::Q2K | Format::Q3K => {
            Some("int8 paired maddubs")
        }
        _ => Some("int8 exact maddubs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Limits, Peak};

    fn work() -> Workload {
        Workload {
            layers: 1000.0,
            head: 512.0,
            bytes: 850.0,
            cached: (64.0, 32.0),
            format: Some(Format::Q4_0),
        }
    }

    fn limits() -> ThreadLimits {
        let peak = |name: &str| Peak { name: name.into(), gop_per_second: 7.0 };
        let peaks = ["f32 fma", "int8 paired maddubs"].map(peak).into();
        ThreadLimits { peaks, ..Limits::made_up().threads[0].clone() }
    }

    #[test]
    fn prompts_compute_and_answers_read() {
        let cache = (CacheFormat::F16, CacheFormat::Q8_0);
        let of = |case: &str| work().limit(case.parse().unwrap(), cache, "avx2", &limits());
        let (limit, operations) = of("pp512").unwrap();
        assert_eq!((limit.name.as_str(), operations), ("int8 paired maddubs", 2002.0));
        let (limit, bytes) = of("tg4@d10").unwrap();
        assert_eq!(limit.name, "read bandwidth");
        assert_eq!(bytes, 850.0 + 12.0 * (128.0 + 34.0));
        assert_eq!(of("pp4+tg4"), None);
    }

    #[test]
    fn formats_have_their_instructions() {
        assert_eq!(sequence("avx2", Format::Q8_0), Some("int8 exact maddubs"));
        assert_eq!(sequence("avx512-vnni", Format::Q4_0), Some("int8 vpdpbusd"));
        assert_eq!(sequence("avx2", Format::F16), Some("f32 fma"));
        assert_eq!(sequence("dotprod", Format::Q4K), Some("int8 sdot"));
        assert_eq!(sequence("scalar", Format::Q4_0), None);
    }
}
