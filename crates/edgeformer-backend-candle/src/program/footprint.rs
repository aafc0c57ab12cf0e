use candle_core::Device;
use edgeformer_core::graph::{Op, RowKind};
use edgeformer_core::{
    CacheFormat, Footprint, Format, Graph, Model, Result, SessionOptions, Weight,
};

use crate::cache::Shape;
use crate::weights::{DEQUANTIZED, WIDENED, planned_bytes};

/// Bytes of an activation.
const F32: u64 = 4;
/// Values that are alive at a time besides the widest one's inputs: the residual stream and what
/// candle makes on the way.
const ALIVE: u64 = 6;

/// Bytes that a session takes, from shapes and formats.
pub(crate) fn footprint(
    model: &Model,
    device: &Device,
    options: &SessionOptions,
) -> Result<Footprint> {
    let graph = &model.graph;
    let shape = Shape::new(graph, options);
    let tokens = options.context.saturating_mul(options.sequences);
    Ok(Footprint {
        weights: planned_bytes(model, device)?,
        cache: shape.bytes(tokens),
        cache_per_token: shape.bytes(1),
        scratch: activations(graph, options) + scores(graph, options) + widened(model, options),
    })
}

/// The values of a step, and its output rows twice: on the device and for the caller.
fn activations(graph: &Graph, options: &SessionOptions) -> u64 {
    let rows = |kind: RowKind| match kind {
        RowKind::Token => options.chunk,
        RowKind::Patch(count) => count * options.sequences,
        RowKind::Sequence => options.sequences,
    };
    let output = graph.output.value.index();
    let size = |(index, value): (usize, &edgeformer_core::graph::ValueInfo)| {
        // Behind the last attention only wanted rows are computed.
        let rows = rows(value.rows);
        let rows = if index == output { rows.min(options.output_rows) } else { rows };
        (rows * value.width) as u64 * F32
    };
    let widest = graph.values.iter().enumerate().map(size).max().unwrap_or(0);
    let output_rows = size((output, &graph.values[output]));
    ALIVE * widest + 2 * output_rows
}

/// Scores of attention and their softmax; keys and values that are widened for it.
fn scores(graph: &Graph, options: &SessionOptions) -> u64 {
    let tokens = options.context as u64;
    let one = |op: &Op| match op {
        Op::Attention(a) => {
            let widened = a.kv_heads * (a.key_dim + a.value_dim);
            (a.heads as u64, if stored_wide(options) { 0 } else { widened as u64 })
        }
        // Expanded, every head has keys and values of its own.
        Op::LatentAttention(a) => {
            let expanded = a.heads * (a.rank + a.nope_dim + 2 * a.rope_dim + a.value_dim);
            (a.heads as u64, expanded as u64)
        }
        _ => (0, 0),
    };
    let bytes = |op: &Op| {
        let (heads, widened) = one(op);
        let queries = (options.chunk as u64).min(crate::forward::TILE as u64);
        let scores = (heads * queries * tokens).min(crate::forward::SCORES as u64);
        F32 * (4 * scores + widened * tokens)
    };
    graph.nodes.iter().map(|node| bytes(&node.op)).max().unwrap_or(0)
}

fn stored_wide(options: &SessionOptions) -> bool {
    options.cache_type_k == CacheFormat::F32 && options.cache_type_v == CacheFormat::F32
}

/// The matrix, or the part of one, that is widened for a prompt.
fn widened(model: &Model, options: &SessionOptions) -> u64 {
    if options.chunk == 1 {
        return 0;
    }
    // The largest matrix: all parts of one together, or an expert.
    let elements = |weight: &Weight| match weight.shape() {
        [] | [_] => 0,
        [_, matrix @ ..] if matrix.len() > 1 => matrix.iter().product(),
        matrix => matrix.iter().product::<usize>(),
    };
    let one = |weight: &Weight| match weight.parts()[0].format() {
        Format::F32 => 0,
        Format::F16 | Format::BF16 => elements(weight).min(WIDENED),
        _ => elements(weight).min(DEQUANTIZED),
    };
    F32 * model.weights.iter().map(|(_, weight)| one(weight)).max().unwrap_or(0) as u64
}
