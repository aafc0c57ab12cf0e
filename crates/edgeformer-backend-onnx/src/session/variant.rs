use edgeformer_core::graph::Rope;

use crate::error::Problem;
use crate::onnx::Port;
use crate::runtime::{Build, Runnable};
use crate::translate::{ADAPTER_SCALES, Layout, Translation};

/// A translated model in a session of the runtime, with what each of its names means.
pub(crate) struct Variant {
    pub runnable: Runnable,
    /// What the inputs mean, in their order.
    pub feeds: Vec<Feed>,
    /// Pairs of an input and an output over one buffer.
    pub through: Vec<(usize, usize)>,
    pub ropes: Vec<Rope>,
    pub slots: Vec<Layout>,
}

/// What an input of the runtime's session means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    Tokens,
    Embeddings,
    Positions,
    /// The rows of the output that are wanted.
    Rows,
    /// Tokens after the run, less one.
    Last,
    /// Tokens after the run.
    Total,
    /// Of the rotary embedding of that index.
    Cosines(usize),
    Sines(usize),
    /// Of the cache slot of that index.
    Keys(usize),
    Values(usize),
    /// A scale of each adapter.
    AdapterScales,
    /// An image or a signal.
    Samples,
}

impl Variant {
    pub fn new(build: &Build<'_>, translated: Translation) -> Result<Self, Problem> {
        let Translation { graph, ropes, slots } = translated;
        let feeds =
            graph.inputs.iter().map(|port| feed(&port.name)).collect::<Result<Vec<_>, _>>()?;
        let through = through(&graph.inputs, &graph.outputs);
        let runnable = build.session(graph)?;
        Ok(Self { runnable, feeds, through, ropes, slots })
    }
}

/// Inputs and outputs of the cache: `present.N.side` is what `past_key_values.N.side` becomes.
fn through(inputs: &[Port], outputs: &[Port]) -> Vec<(usize, usize)> {
    let pair = |(index, output): (usize, &Port)| {
        let past = format!("past_key_values.{}", output.name.strip_prefix("present.")?);
        Some((inputs.iter().position(|input| input.name == past)?, index))
    };
    outputs.iter().enumerate().filter_map(pair).collect()
}

fn feed(name: &str) -> Result<Feed, Problem> {
    let feed = match name {
        "input_ids" => Some(Feed::Tokens),
        "inputs_embeds" => Some(Feed::Embeddings),
        "position_ids" => Some(Feed::Positions),
        "rows" => Some(Feed::Rows),
        "seqlens_k" => Some(Feed::Last),
        "total_sequence_length" => Some(Feed::Total),
        ADAPTER_SCALES => Some(Feed::AdapterScales),
        "pixel_values" | "input_values" => Some(Feed::Samples),
        _ => indexed(name),
    };
    feed.ok_or_else(|| Problem::Runtime(format!("an input {name:?} that nothing feeds")))
}

fn indexed(name: &str) -> Option<Feed> {
    let (kind, index) = name.split_once('.')?;
    match (kind, index.split_once('.')) {
        ("cos", None) => Some(Feed::Cosines(index.parse().ok()?)),
        ("sin", None) => Some(Feed::Sines(index.parse().ok()?)),
        ("past_key_values", Some((slot, "key"))) => Some(Feed::Keys(slot.parse().ok()?)),
        ("past_key_values", Some((slot, "value"))) => Some(Feed::Values(slot.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Element;

    #[test]
    fn every_name_of_the_translation_is_fed() {
        assert_eq!(feed("past_key_values.11.value").unwrap(), Feed::Values(11));
        assert_eq!(feed("cos.2").unwrap(), Feed::Cosines(2));
        assert!(feed("past_key_values.x.value").is_err());
    }

    #[test]
    fn past_becomes_present() {
        let port = |name: &str| Port { name: name.into(), element: Element::F32, shape: vec![] };
        let inputs = ["rows", "past_key_values.0.key", "past_key_values.0.value"].map(port);
        let outputs = ["logits", "present.0.key", "present.0.value"].map(port);
        assert_eq!(through(&inputs, &outputs), [(1, 1), (2, 2)]);
    }
}
