//! ONNX's messages (`onnx.proto3`), their fields by number.

use super::wire::Message;
use crate::onnx::{Attribute, Dim, Domain, Initializer, Node, OnnxGraph, Port};

/// Version of the file format that came with operators of version 23.
const IR_VERSION: i64 = 11;

/// Where a constant's bytes are in the file beside.
pub(super) struct External<'a> {
    pub location: &'a str,
    pub offset: u64,
    pub length: u64,
}

/// `ModelProto`.
pub(super) fn model(graph: &OnnxGraph, tensors: Vec<Message>) -> Message {
    let mut model = Message::default();
    model.integer(1, IR_VERSION).text(2, "edgeformer").text(3, env!("CARGO_PKG_VERSION"));
    model.message(7, &graph_message(graph, tensors));
    for domain in graph.domains() {
        model.message(8, &opset(domain));
    }
    model
}

/// `OperatorSetIdProto`.
fn opset(domain: Domain) -> Message {
    let mut message = Message::default();
    message.text(1, domain.name()).integer(2, i64::from(domain.version()));
    message
}

/// `GraphProto`.
fn graph_message(graph: &OnnxGraph, tensors: Vec<Message>) -> Message {
    let mut message = Message::default();
    graph.nodes.iter().for_each(|one| {
        message.message(1, &node(one));
    });
    message.text(2, &graph.name);
    tensors.iter().for_each(|tensor| {
        message.message(5, tensor);
    });
    graph.inputs.iter().for_each(|port| {
        message.message(11, &value_info(port));
    });
    graph.outputs.iter().for_each(|port| {
        message.message(12, &value_info(port));
    });
    message
}

/// `NodeProto`.
fn node(node: &Node) -> Message {
    let mut message = Message::default();
    node.inputs.iter().for_each(|input| {
        message.text(1, input);
    });
    node.outputs.iter().for_each(|output| {
        message.text(2, output);
    });
    message.text(3, &node.name).text(4, node.op);
    node.attributes.iter().for_each(|(name, value)| {
        message.message(5, &attribute(name, value));
    });
    message.text(7, node.domain.name());
    message
}

/// `AttributeProto`.
fn attribute(name: &str, value: &Attribute) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).integer(20, 1),
        Attribute::Int(value) => message.integer(3, *value).integer(20, 2),
        Attribute::Text(value) => message.text(4, value).integer(20, 3),
        Attribute::Ints(values) => {
            values.iter().for_each(|&value| {
                message.integer(8, value);
            });
            message.integer(20, 7)
        }
    };
    message
}

/// `TensorProto`, its bytes inside or beside.
pub(super) fn tensor(initializer: &Initializer, external: Option<&External<'_>>) -> Message {
    let mut message = Message::default();
    initializer.shape.iter().for_each(|&size| {
        message.integer(1, size as i64);
    });
    message.integer(2, initializer.element as i64).text(8, &initializer.name);
    let Some(External { location, offset, length }) = external else {
        message.blob(9, &initializer.bytes());
        return message;
    };
    let entries = [
        ("location", (*location).to_owned()),
        ("offset", offset.to_string()),
        ("length", length.to_string()),
    ];
    for (key, value) in entries {
        let mut entry = Message::default();
        entry.text(1, key).text(2, &value);
        message.message(13, &entry);
    }
    message.integer(14, 1);
    message
}

/// `ValueInfoProto` of a tensor.
fn value_info(port: &Port) -> Message {
    let mut shape = Message::default();
    for dim in &port.shape {
        let mut message = Message::default();
        match dim {
            Dim::Known(size) => message.integer(1, *size as i64),
            Dim::Named(name) => message.text(2, name),
        };
        shape.message(1, &message);
    }
    let (mut tensor, mut kind, mut info) =
        (Message::default(), Message::default(), Message::default());
    tensor.integer(1, port.element as i64).message(2, &shape);
    kind.message(1, &tensor);
    info.text(1, &port.name).message(2, &kind);
    info
}
