//! A plugin whose backend panics: when it compiles, and in a step.

use std::sync::Arc;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_plugin::edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, KvCache, Model, Outputs, Program, Result,
    Session, SessionOptions, Step, Unsupported,
};

struct Panicking(CpuBackend);

impl Backend for Panicking {
    fn name(&self) -> &str {
        "panicking"
    }

    fn devices(&self) -> Result<Vec<Device>> {
        self.0.devices()
    }

    fn check(&self, _: &Graph, _: &Device) -> Result<(), Unsupported> {
        panic!("nothing can be checked")
    }

    fn plan(&self, _: &Model, _: &CompileOptions, _: &SessionOptions) -> Result<Footprint> {
        panic!("nothing can be {}", "planned")
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        if options.threads == Some(7) {
            std::panic::panic_any(7);
        }
        Ok(Arc::new(Panics(self.0.compile(model, options)?)))
    }
}

struct Panics(Arc<dyn Program>);

impl Program for Panics {
    fn graph(&self) -> &Graph {
        self.0.graph()
    }

    fn footprint(&self, _: &SessionOptions) -> Footprint {
        panic!("nothing is known of its size")
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        Ok(Box::new(PanicsInStep(self.0.clone().open(options)?)))
    }
}

struct PanicsInStep(Box<dyn Session>);

impl Session for PanicsInStep {
    fn run(&mut self, _: &Step<'_>, _: &mut Outputs) -> Result<()> {
        panic!("index out of bounds")
    }

    fn cache(&mut self) -> &mut dyn KvCache {
        self.0.cache()
    }
}

edgeformer_plugin::export_backend!(Panicking, || {
    CpuBackend::new(&CpuOptions::default()).map(Panicking)
});
