use std::sync::Arc;

use edgeformer_core::{Backend, Registry};

use crate::plugins::load_plugins;
use crate::{EngineOptions, Result};

type Make = fn(&EngineOptions) -> Result<Arc<dyn Backend>>;

/// The backends that are compiled in: one a cargo feature.
const BACKENDS: &[Make] = &[
    #[cfg(feature = "cpu")]
    cpu,
    #[cfg(feature = "onnx")]
    onnx,
    #[cfg(feature = "rocm")]
    rocm,
    #[cfg(feature = "candle")]
    candle,
];

/// A registry of the backends that are compiled in, then those of plugins.
///
/// # Errors
/// If an option names something the backend does not know, for example an instruction set, or a
/// plugin cannot be loaded: nothing is registered then.
pub fn builtin(options: &EngineOptions) -> Result<Registry> {
    let mut registry = Registry::default();
    for make in BACKENDS {
        registry.register(make(options)?);
    }
    load_plugins(&mut registry, &options.plugins)?;
    Ok(registry)
}

#[cfg(feature = "cpu")]
fn cpu(options: &EngineOptions) -> Result<Arc<dyn Backend>> {
    let options = edgeformer_backend_cpu::CpuOptions { isa: options.isa.clone() };
    Ok(Arc::new(edgeformer_backend_cpu::CpuBackend::new(&options)?))
}

#[cfg(feature = "onnx")]
fn onnx(_options: &EngineOptions) -> Result<Arc<dyn Backend>> {
    // Where the library is, the environment says: devices tell if it is nowhere.
    let options = edgeformer_backend_onnx::OnnxOptions::default();
    Ok(Arc::new(edgeformer_backend_onnx::OnnxBackend::new(options)))
}

#[cfg(feature = "rocm")]
fn rocm(_options: &EngineOptions) -> Result<Arc<dyn Backend>> {
    // Devices tell what is missing; nothing is looked for before.
    let options = edgeformer_backend_rocm::RocmOptions::from_environment()?;
    Ok(Arc::new(edgeformer_backend_rocm::RocmBackend::new(options)))
}

#[cfg(feature = "candle")]
fn candle(_options: &EngineOptions) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(edgeformer_backend_candle::CandleBackend))
}
