//! An ONNX graph as a plain value: what the translation makes, and what both sinks take.
//!
//! It holds what ONNX's `GraphProto` does, without protobuf: the session sink builds it with
//! ONNX Runtime's model editor, the file sink writes it as a `.onnx` file.

mod data;

pub(crate) use data::bits;
pub use data::{Data, Form, Initializer};

/// Version of the standard operators (`ai.onnx`): the first with `Attention` and
/// `RMSNormalization`, known to ONNX Runtime since 1.23.
pub const OPSET: u32 = 23;

/// A graph of ONNX operators.
#[derive(Debug, Clone, Default)]
pub struct OnnxGraph {
    /// The model family, for example `llama`.
    pub name: String,
    /// Operators, in topological order.
    pub nodes: Vec<Node>,
    /// Constants.
    pub initializers: Vec<Initializer>,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
}

/// An operator with its place in the data flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: String,
    /// Whose operator it is.
    pub domain: Domain,
    /// The operator, for example `MatMul`.
    pub op: &'static str,
    /// Names of what it reads; an empty name is an optional input that is absent.
    pub inputs: Vec<String>,
    /// Names of what it makes.
    pub outputs: Vec<String>,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Whose operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// The standard's, version [`OPSET`].
    Onnx,
    /// ONNX Runtime's contributed operators, version 1.
    Microsoft,
}

impl Domain {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "",
            Self::Microsoft => "com.microsoft",
        }
    }

    /// The version of its operators.
    pub fn version(self) -> u32 {
        match self {
            Self::Onnx => OPSET,
            Self::Microsoft => 1,
        }
    }
}

/// A value that an operator has from the start.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Integers.
    Ints(Vec<i64>),
    /// A string.
    Text(&'static str),
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Its dimensions, outermost first.
    pub shape: Vec<Dim>,
}

/// A dimension of a [`Port`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this many.
    Known(usize),
    /// Another number in every run, for example `sequence_length`.
    Named(&'static str),
}

/// Type of a tensor's elements. The numbers are those of ONNX's `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `float`.
    F32 = 1,
    /// `uint8`.
    U8 = 2,
    /// `int32`.
    I32 = 6,
    /// `int64`.
    I64 = 7,
    /// `bool`.
    Bool = 9,
    /// `float16`.
    F16 = 10,
    /// `bfloat16`.
    BF16 = 16,
}

impl Element {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

impl OnnxGraph {
    /// Whether the runtime shall keep weights in layouts of its own, copies all. Products with
    /// blocks are slow in any other. Matrices that are made for the session are packed if `repack`
    /// says so; floats that lie in the file are used there, for a copy would double them.
    pub fn is_packed(&self, repack: bool) -> bool {
        let blocks = self.nodes.iter().any(|node| node.op == "MatMulNBits");
        blocks || repack && self.initializers.iter().any(Initializer::is_made_matrix)
    }

    /// Domains whose operators it has; the standard's always.
    pub fn domains(&self) -> Vec<Domain> {
        let mut domains: Vec<_> = self.nodes.iter().map(|node| node.domain).collect();
        domains.push(Domain::Onnx);
        domains.sort();
        domains.dedup();
        domains
    }

    /// The graph as text, a line a node: for snapshots.
    #[cfg(test)]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            let attributes: Vec<_> =
                node.attributes.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
            let (outputs, inputs) = (node.outputs.join(", "), node.inputs.join(", "));
            text += &format!("{outputs} = {}({inputs}){}\n", node.op, attributes.concat());
        }
        text
    }
}
