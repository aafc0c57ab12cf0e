use std::sync::Arc;

use edgeformer_core::{
    Backend, CompileOptions, Device, Footprint, Graph, Model, Program, Result, SessionOptions,
    Unsupported,
};

use crate::devices;
use crate::error::NAME;
use crate::program::{self, CandleProgram};

/// Runs graphs on candle's tensors.
///
/// Threads are candle's own: as many as there are cores, or as `RAYON_NUM_THREADS` says;
/// [`CompileOptions::threads`] changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct CandleBackend;

impl Backend for CandleBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<Vec<Device>> {
        Ok(devices::list())
    }

    fn check(&self, graph: &Graph, device: &Device) -> Result<(), Unsupported> {
        let opens = devices::open(&device.id).map(|_| ());
        let reasons = [opens, graph.check()].into_iter().filter_map(Result::err);
        let reasons: Vec<_> = reasons.map(|error| error.to_string()).collect();
        if reasons.is_empty() { Ok(()) } else { Err(Unsupported { reasons }) }
    }

    fn plan(
        &self,
        model: &Model,
        compile: &CompileOptions,
        session: &SessionOptions,
    ) -> Result<Footprint> {
        model.graph.check()?;
        program::check(&model.graph, session)?;
        program::footprint(model, &devices::open(&compile.device)?, session)
    }

    fn compile(&self, model: Arc<Model>, options: &CompileOptions) -> Result<Arc<dyn Program>> {
        let device = devices::open(&options.device)?;
        Ok(Arc::new(CandleProgram::new(model, &device)?))
    }
}
