//! An [`OnnxGraph`] becomes a session, by the model editor: no protobuf is written or read.

use std::ffi::CString;

use ort::AsPointer;
use ort::editor::{Graph, Model, Node as OrtNode, Opset};
use ort::memory::Allocator;
use ort::operator::Attribute as OrtAttribute;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel};
use ort::value::{Outlet, Shape, SymbolicDimensions, TensorElementType, ValueType};

use super::library::Library;
use super::provider::Choice;
use super::run::{Runnable, Value};
use crate::error::Problem;
use crate::onnx::{Attribute, Data, Dim, Element, Initializer, Node, OnnxGraph, Port};

/// Up to this, ONNX Runtime insists on constants of its own (`kSmallTensorExternalDataThreshold`).
const SMALL: usize = 127;

/// How a session is built.
pub(crate) struct Build<'a> {
    pub library: &'a Library,
    pub provider: &'a Choice,
    /// Threads of an operator; `None` leaves it to the runtime.
    pub threads: Option<usize>,
    /// Whether the runtime may hold weights in layouts of its own for speed alone.
    pub repack: bool,
    /// Told of bytes of the model that were read and will not be read again.
    pub release: &'a dyn Fn(&[u8]),
}

impl Build<'_> {
    /// Builds the session.
    pub fn session(&self, graph: OnnxGraph) -> Result<Runnable, Problem> {
        let mut built = Graph::new()?;
        built.set_inputs(graph.inputs.iter().map(outlet))?;
        built.set_outputs(graph.outputs.iter().map(outlet))?;
        let mut borrowed = Vec::new();
        for initializer in &graph.initializers {
            borrowed.extend(add_initializer(&mut built, initializer)?);
            if let Data::Made(tensor, _) = &initializer.data {
                (self.release)(tensor.bytes());
            }
        }
        for one in &graph.nodes {
            built.add_node(node(one)?)?;
        }
        let opsets =
            graph.domains().into_iter().map(|domain| Opset::new(domain.name(), domain.version()));
        let mut model = Model::new(opsets.collect::<Result<Vec<_>, _>>()?)?;
        model.set_graph(built)?;
        let session = self.commit(model, graph.is_packed(self.repack))?;
        Runnable::new(session, &graph, borrowed)
    }

    fn commit(&self, model: Model, prepack: bool) -> Result<Session, Problem> {
        let mut builder = Session::builder(&self.library.environment)?
            // What is not asked for by name is not chosen by the runtime either.
            .with_auto_device(AutoDevicePolicy::PreferCPU)?
            .with_no_environment_execution_providers()?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_prepacking(prepack)?
            // Constants that are computed once would be copies of weights.
            .with_disabled_optimizers("ConstantFolding")?
            // Lengths change from run to run: plans of memory would be made anew.
            .with_memory_pattern(false)?;
        if let Some(threads) = self.threads {
            builder = builder.with_intra_threads(threads)?;
        }
        builder = self.provider.register(builder)?;
        Ok(model.into_session(&builder)?)
    }
}

fn element(element: Element) -> TensorElementType {
    match element {
        Element::F32 => TensorElementType::Float32,
        Element::U8 => TensorElementType::Uint8,
        Element::I32 => TensorElementType::Int32,
        Element::I64 => TensorElementType::Int64,
        Element::Bool => TensorElementType::Bool,
        Element::F16 => TensorElementType::Float16,
        Element::BF16 => TensorElementType::Bfloat16,
    }
}

fn outlet(port: &Port) -> Outlet {
    let (dims, names) = port
        .shape
        .iter()
        .map(|dim| match dim {
            Dim::Known(size) => (*size as i64, String::new()),
            Dim::Named(name) => (-1, (*name).to_owned()),
        })
        .unzip::<_, _, Vec<_>, Vec<_>>();
    let ty = element(port.element);
    let dimension_symbols = SymbolicDimensions::new(names);
    Outlet::new(&port.name, ValueType::Tensor { ty, shape: Shape::new(dims), dimension_symbols })
}

fn node(node: &Node) -> Result<OrtNode, Problem> {
    let attribute = |(name, value): &(&'static str, Attribute)| match value {
        Attribute::Int(value) => OrtAttribute::new(name, *value),
        Attribute::Float(value) => OrtAttribute::new(name, *value),
        Attribute::Ints(values) => OrtAttribute::new(name, values.as_slice()),
        Attribute::Text(value) => OrtAttribute::new(name, String::from(*value)),
    };
    let attributes = node.attributes.iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
    let Node { op, domain, name, inputs, outputs, .. } = node;
    Ok(OrtNode::new(op, domain.name(), name, inputs, outputs, attributes)?)
}

/// Adds a constant; gives what must outlive the session where its memory is borrowed.
fn add_initializer(graph: &mut Graph, initializer: &Initializer) -> Result<Option<Data>, Problem> {
    let size = initializer.byte_len();
    let shape: Vec<i64> = initializer.shape.iter().map(|&size| size as i64).collect();
    if let (Data::Shared(bytes), true) = (&initializer.data, initializer.aliases() && size > SMALL)
    {
        // SAFETY: the memory is the model's, read-only to the runtime, aligned, as long as the
        // shape says, and kept with the session by the caller.
        let value = unsafe { Value::over_constant(bytes, &shape, initializer.element) }?;
        add(graph, &initializer.name, value, true)?;
        return Ok(Some(initializer.data.clone()));
    }
    let fill = |bytes: &mut [u8]| initializer.fill(bytes);
    let value = Value::filled(&Allocator::default(), &shape, initializer.element, fill)?;
    add(graph, &initializer.name, value, size > SMALL)?;
    Ok(None)
}

/// Gives a value to a graph. An external one is used as it is, another is copied into the model.
fn add(graph: &mut Graph, name: &str, value: Value, external: bool) -> Result<(), Problem> {
    let name =
        CString::new(name).map_err(|_| Problem::Runtime("a name with a zero byte".into()))?;
    let editor = ort::api::editor()?;
    // SAFETY: graph, name and value live through the call; on success the graph owns the value.
    unsafe {
        let status = (editor.AddInitializerToGraph)(
            graph.ptr_mut(),
            name.as_ptr(),
            value.as_ptr(),
            external,
        );
        ort::Error::result_from_status(status)?;
    }
    value.into_raw();
    Ok(())
}
