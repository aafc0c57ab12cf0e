use std::sync::Arc;

use edgeformer_backend_onnx::{OnnxBackend, OnnxOptions, RuntimeLibrary};
use edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, Model, Program, Result, SessionOptions,
    Unsupported,
};

use crate::detect::{self, Found, Problem};
use crate::runtime::{self, PROVIDER};
use crate::{NAME, RocmOptions};

/// Above the CPU's 100.
const SCORE: u32 = 200;

/// Runs graphs on AMD GPUs, by ONNX Runtime with MIGraphX.
#[derive(Debug, Clone)]
pub struct RocmBackend {
    options: RocmOptions,
}

impl RocmBackend {
    /// The backend with these options. Nothing is looked for before it is needed.
    pub fn new(options: RocmOptions) -> Self {
        Self { options }
    }

    /// What is there, all of it: GPUs without a runtime for them cannot serve.
    fn found(&self) -> Result<(Vec<Found>, RuntimeLibrary), Problem> {
        let gpus = detect::gpus(&self.options.places)?;
        Ok((gpus, runtime::find(&self.options)?))
    }

    fn device(&self, gpu: Found, runtime: &RuntimeLibrary) -> Device {
        let Found { number, name, gfx, memory, device_id, slot, driver, hip } = gpu;
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64);
        let known = [
            gfx.map(|gfx| fact("instruction set", gfx)),
            memory.map(|bytes| fact("memory", gib(bytes))),
            slot.map(|slot| fact("PCI slot", slot)),
            device_id.map(|id| fact("PCI device", format!("1002:{id:04x}"))),
            driver.map(|version| fact("driver", format!("amdgpu {version}"))),
            Some(fact("HIP", hip)),
            Some(fact("ONNX Runtime", format!("{} with MIGraphX", runtime.version))),
            Some(fact("library", runtime.path.display().to_string())),
            Some(fact("precision", self.options.precision.name().into())),
        ];
        let facts = known.into_iter().flatten().collect();
        Device { id: number.to_string(), description: name, facts, score: SCORE }
    }

    /// The ONNX backend, for what does not depend on the GPU.
    fn any(&self) -> OnnxBackend {
        OnnxBackend::new(OnnxOptions { name: Some(NAME), ..OnnxOptions::default() })
    }

    /// The ONNX backend on the GPU of that number, if it is there.
    fn on(&self, id: &str) -> Result<OnnxBackend, Problem> {
        let (gpus, _) = self.found()?;
        let gpu = gpus.iter().find(|gpu| gpu.number.to_string() == id);
        let gpu = gpu.ok_or_else(|| {
            let known: Vec<_> = gpus.iter().map(|gpu| gpu.number.to_string()).collect();
            Problem::NoSuchGpu { wanted: id.into(), known: known.join(", ") }
        })?;
        runtime::backend(&self.options, gpu.number)
    }
}

/// The options as the ONNX backend takes them: its device is the provider.
fn on_provider(options: &CompileOptions) -> CompileOptions {
    CompileOptions { device: PROVIDER.into(), ..options.clone() }
}

impl Backend for RocmBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let (gpus, runtime) = self.found().map_err(Problem::into_error)?;
        Ok(gpus.into_iter().map(|gpu| self.device(gpu, &runtime)).collect())
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        self.any().check(graph, &Device { id: PROVIDER.into(), ..device.clone() })
    }

    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint> {
        self.any().plan(model, &on_provider(compile), session)
    }

    fn explain(&self, model: &Model, session: &SessionOptions) -> Result<Vec<String>> {
        self.any().explain(model, session)
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let backend = self.on(&options.device).map_err(Problem::into_error)?;
        backend.compile(model, &on_provider(options))
    }
}
