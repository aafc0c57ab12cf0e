//! Puts an ONNX graph together, operator by operator.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::onnx::{Attribute, Data, Dim, Domain, Element, Initializer, Node, OnnxGraph, Port};

/// Name of a tensor in the graph.
pub(super) type Name = String;

/// An [`OnnxGraph`] that grows.
#[derive(Default)]
pub(super) struct Builder {
    pub graph: OnnxGraph,
    /// What the names of the next operators begin with: the node of the model's graph.
    pub scope: String,
    /// Constants by what they hold, so that each is there once.
    constants: BTreeMap<(i32, Vec<usize>, Vec<u8>), Name>,
    /// Whether it keeps to widely known operators.
    plain: bool,
    /// Values that several operators share, by what they are.
    shared: BTreeMap<String, Name>,
}

pub(super) type Attributes = Vec<(&'static str, Attribute)>;

pub(super) fn int(value: usize) -> Attribute {
    Attribute::Int(value as i64)
}

impl Builder {
    pub fn new(plain: bool) -> Self {
        Self { plain, ..Self::default() }
    }

    /// A standard operator of one output.
    pub fn op(&mut self, op: &'static str, inputs: &[&str], attributes: Attributes) -> Name {
        self.ops(Domain::Onnx, op, inputs, attributes, 1).remove(0)
    }

    /// A contributed operator of one output.
    pub fn contrib(&mut self, op: &'static str, inputs: &[&str], attributes: Attributes) -> Name {
        self.ops(Domain::Microsoft, op, inputs, attributes, 1).remove(0)
    }

    /// An operator of several outputs.
    pub fn ops(
        &mut self,
        domain: Domain,
        op: &'static str,
        inputs: &[&str],
        attributes: Attributes,
        outputs: usize,
    ) -> Vec<Name> {
        let name = self.next_name(op);
        let outputs: Vec<Name> = (0..outputs).map(|index| format!("{name}:{index}")).collect();
        self.push(name, domain, op, inputs, outputs.clone(), attributes);
        outputs
    }

    /// An operator whose outputs have names of their own.
    pub fn named(
        &mut self,
        domain: Domain,
        op: &'static str,
        inputs: &[&str],
        outputs: Vec<Name>,
        attributes: Attributes,
    ) {
        let name = self.next_name(op);
        self.push(name, domain, op, inputs, outputs, attributes);
    }

    fn next_name(&self, op: &str) -> String {
        format!("/{}/{}_{op}", self.scope, self.graph.nodes.len())
    }

    fn push(
        &mut self,
        name: String,
        domain: Domain,
        op: &'static str,
        inputs: &[&str],
        outputs: Vec<Name>,
        attributes: Attributes,
    ) {
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        self.graph.nodes.push(Node { name, domain, op, inputs, outputs, attributes });
    }

    /// A value that is made at its first use.
    pub fn once(&mut self, what: String, make: impl FnOnce(&mut Self) -> Name) -> Name {
        if let Some(name) = self.shared.get(&what) {
            return name.clone();
        }
        let name = make(self);
        self.shared.insert(what, name.clone());
        name
    }

    /// An input of the graph, declared at its first use.
    pub fn input(&mut self, name: &str, element: Element, shape: &[Dim]) -> Name {
        if !self.graph.inputs.iter().any(|port| port.name == name) {
            self.graph.inputs.push(Port { name: name.into(), element, shape: shape.to_vec() });
        }
        name.into()
    }

    /// An output of the graph.
    pub fn output(&mut self, name: &str, element: Element, shape: &[Dim]) {
        self.graph.outputs.push(Port { name: name.into(), element, shape: shape.to_vec() });
    }

    /// A vector of integers.
    pub fn ints(&mut self, values: &[i64]) -> Name {
        self.constant(Element::I64, vec![values.len()], bytemuck::cast_slice(values).to_vec())
    }

    /// One integer without dimensions.
    pub fn index(&mut self, value: usize) -> Name {
        self.constant(Element::I64, vec![], (value as i64).to_le_bytes().to_vec())
    }

    /// One float without dimensions.
    pub fn float(&mut self, value: f32) -> Name {
        self.constant(Element::F32, vec![], value.to_le_bytes().to_vec())
    }

    /// Floats in a shape.
    pub fn floats(&mut self, shape: &[usize], values: &[f32]) -> Name {
        self.constant(Element::F32, shape.to_vec(), bytemuck::cast_slice(values).to_vec())
    }

    fn constant(&mut self, element: Element, shape: Vec<usize>, bytes: Vec<u8>) -> Name {
        let key = (element as i32, shape, bytes);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = format!("constant_{}", self.constants.len());
        let data = Data::Shared(Bytes::from(key.2.clone()));
        self.initializer(Initializer { name: name.clone(), element, shape: key.1.clone(), data });
        self.constants.insert(key, name.clone());
        name
    }

    /// A constant; of one name there is one.
    pub fn initializer(&mut self, initializer: Initializer) -> Name {
        let name = initializer.name.clone();
        self.once(format!("initializer {name}"), |b| {
            b.graph.initializers.push(initializer);
            name
        })
    }

    /// `x` in another shape; 0 keeps a dimension, -1 is what is left.
    pub fn reshape(&mut self, x: &str, shape: &[i64]) -> Name {
        let shape = self.ints(shape);
        self.op("Reshape", &[x, &shape], vec![])
    }

    /// `x` with its dimensions in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> Name {
        self.op("Transpose", &[x], vec![("perm", Attribute::Ints(order.to_vec()))])
    }

    /// `x` along `axis` from `from` to `to`.
    pub fn slice(&mut self, x: &str, axis: i64, from: usize, to: usize) -> Name {
        let (from, to) = (self.ints(&[from as i64]), self.ints(&[to as i64]));
        let axis = self.ints(&[axis]);
        self.op("Slice", &[x, &from, &to, &axis], vec![])
    }

    /// The product of matrices `alpha * a bᵀ`, broadcast over leading dimensions; `b` with the
    /// number of its dimensions.
    pub fn times_transposed(&mut self, a: &str, (b, dims): (&str, i64), alpha: f32) -> Name {
        if self.plain {
            let order: Vec<i64> = (0..dims - 2).chain([dims - 1, dims - 2]).collect();
            let turned = self.transpose(b, &order);
            let product = self.op("MatMul", &[a, &turned], vec![]);
            if alpha == 1.0 {
                return product;
            }
            let alpha = self.float(alpha);
            return self.op("Mul", &[&product, &alpha], vec![]);
        }
        let mut attributes = vec![("transB", Attribute::Int(1))];
        if alpha != 1.0 {
            attributes.push(("alpha", Attribute::Float(alpha)));
        }
        self.contrib("FusedMatMul", &[a, b], attributes)
    }

    /// Values side by side along an axis.
    pub fn concat(&mut self, parts: &[&str], axis: i64) -> Name {
        self.op("Concat", parts, vec![("axis", Attribute::Int(axis))])
    }
}
