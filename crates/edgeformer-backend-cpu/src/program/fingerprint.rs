//! Which model a saved sequence belongs to.

use edgeformer_core::{Graph, Result, Weights};

/// Bytes looked at in the middle of every tensor: reading all would read the model.
const SAMPLE: usize = 64;

/// A number that differs between models: of the graph, the formats of the weights, and a sample
/// of each tensor. The same on every machine.
pub(crate) fn fingerprint(graph: &Graph, weights: &Weights) -> Result<u64> {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.add(graph.to_text().as_bytes());
    for info in &graph.weights {
        for part in weights.get(&info.name)?.parts() {
            hash.add(part.format().name().as_bytes());
            let bytes = part.bytes();
            let middle = bytes.len() / 2;
            hash.add(&bytes[middle..bytes.len().min(middle + SAMPLE)]);
        }
    }
    Ok(hash.0)
}

/// FNV-1a (RFC 9923).
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
