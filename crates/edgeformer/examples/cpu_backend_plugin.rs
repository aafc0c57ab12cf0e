//! The CPU backend in a shared library, named `cpu-plugin` to be told from the one that is built in:
//!
//! ```text
//! cargo build --release --features plugins --example cpu_backend_plugin
//! cargo run --release --features plugins -- generate --plugin "$PWD/target/release/examples/libcpu_backend_plugin.so" --backend cpu-plugin
//! ```

use std::sync::Arc;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_plugin::edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, Model, Program, Result, SessionOptions,
    Unsupported,
};

struct CpuPlugin(CpuBackend);

impl Backend for CpuPlugin {
    fn name(&self) -> &str {
        "cpu-plugin"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        let mut devices = self.0.devices()?;
        // `auto` keeps the backend that is built in.
        devices.iter_mut().for_each(|device| device.score -= 1);
        Ok(devices)
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        self.0.check(graph, device)
    }

    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint> {
        self.0.plan(model, compile, session)
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        self.0.compile(model, options)
    }
}

edgeformer_plugin::export_backend!(
    CpuPlugin,
    || Ok::<_, edgeformer_plugin::edgeformer_core::Error>(CpuPlugin(CpuBackend::new(
        &CpuOptions::default()
    )?))
);
