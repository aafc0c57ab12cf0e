use std::sync::Arc;

use edgeformer_core::{
    Backend, CompileOptions, Device, Error, Footprint, Graph, Model, Program, Result,
    SessionOptions, Unsupported,
};

use crate::machine;
use crate::pool::physical_cores;

/// The one device of this backend.
const DEVICE: &str = "cpu";

/// How the CPU backend is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuOptions {
    /// The instruction set to use, by name: `scalar`, `avx2`. `None` takes the best that the
    /// machine has.
    pub isa: Option<String>,
}

/// Runs graphs on the processor's cores.
#[derive(Debug, Clone)]
pub struct CpuBackend {
    _options: CpuOptions,
}

impl CpuBackend {
    /// The backend with these options.
    ///
    /// # Errors
    /// If the instruction set is unknown, or known but not one that this machine has.
    pub fn new(options: &CpuOptions) -> Result<Self> {
        Ok(Self { _options: options.clone() })
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let mut facts = vec![("cores".to_owned(), physical_cores().to_string())];
        if let Some(bytes) = machine::memory_bytes() {
            facts.push((
                "memory".to_owned(),
                format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
            ));
        }
        Ok(vec![Device { id: DEVICE.into(), description: machine::cpu_name(), facts, score: 100 }])
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        let mut reasons = Vec::new();
        if device.id != DEVICE {
            reasons.push(format!("there is no device {:?}, only {DEVICE:?}", device.id));
        }
        if let Err(error) = graph.check() {
            reasons.push(error.to_string());
        }
        if reasons.is_empty() { Ok(()) } else { Err(Unsupported { reasons }) }
    }

    fn plan(
        &self,
        _model: &Model,
        _compile: &CompileOptions,
        _session: &SessionOptions,
    ) -> Result<Footprint> {
        Err(Error::Backend { backend: "cpu".into(), problem: "plans nothing yet".into() })
    }

    fn compile(&self, _model: Arc<Model>, _options: &CompileOptions) -> Result<Arc<dyn Program>> {
        Err(Error::Backend { backend: "cpu".into(), problem: "compiles nothing yet".into() })
    }
}
