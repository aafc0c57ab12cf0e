mod footprint;

use std::sync::Arc;

use candle_core::Device;
use edgeformer_core::{
    CacheFormat, Error, Footprint, Graph, Model, Program, Result, Session, SessionOptions,
};
use edgeformer_sequences::{Limits, OwnWindows};

use crate::DeviceWeights;
use crate::cache::Shape;
use crate::error::NAME;
use crate::forward::Windows;
use crate::session::CandleSession;
pub(crate) use footprint::footprint;

/// What sessions of this backend can be opened with.
const LIMITS: Limits = Limits {
    backend: NAME,
    cache_types: &[CacheFormat::F32, CacheFormat::F16],
    windows: OwnWindows::ByHead,
    budget: true,
};

/// A model whose weights are on a device.
pub(crate) struct CandleProgram {
    model: Arc<Model>,
    weights: DeviceWeights,
}

impl CandleProgram {
    pub fn new(model: Arc<Model>, device: &Device) -> Result<Self> {
        model.graph.check()?;
        let weights = DeviceWeights::load(&model, device)?;
        Ok(Self { model, weights })
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    pub fn weights(&self) -> &DeviceWeights {
        &self.weights
    }
}

impl Program for CandleProgram {
    fn graph(&self) -> &Graph {
        &self.model.graph
    }

    fn footprint(&self, options: &SessionOptions) -> Footprint {
        // The model was checked when it was compiled.
        footprint(&self.model, self.weights.device(), options).unwrap_or_default()
    }

    fn open(self: Arc<Self>, options: &SessionOptions) -> Result<Box<dyn Session>> {
        check(&self.model.graph, options)?;
        Ok(Box::new(CandleSession::new(self, options)?))
    }
}

/// Refuses sessions that this backend does not have.
pub(crate) fn check(graph: &Graph, options: &SessionOptions) -> Result<()> {
    LIMITS.check(graph, options)?;
    Windows::new(graph, &options.visibility)?;
    let Some(budget) = options.tiers.budget else { return Ok(()) };
    let least = 2 * Shape::new(graph, options).widest(options.context);
    if budget >= least {
        return Ok(());
    }
    Err(Error::Config(format!(
        "a cache budget of {budget} bytes: the layer that runs and the next one take {least} at a context of {}; raise the budget or shorten the context",
        options.context
    )))
}
