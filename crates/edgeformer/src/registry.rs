use std::sync::Arc;

use edgeformer_core::Registry;

use crate::{EngineOptions, Result};

/// The backends that are compiled in.
///
/// # Errors
/// If an option names something the backend does not know, for example an instruction set.
pub fn builtin(options: &EngineOptions) -> Result<Registry> {
    let mut registry = Registry::default();
    #[cfg(feature = "cpu")]
    {
        let options = edgeformer_backend_cpu::CpuOptions { isa: options.isa.clone() };
        registry.register(Arc::new(edgeformer_backend_cpu::CpuBackend::new(&options)?));
    }
    Ok(registry)
}
