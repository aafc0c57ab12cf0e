//! A plugin of the time before sequences had scales of adapters: its table ends where that begins.

use std::mem::offset_of;
use std::sync::OnceLock;

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_plugin::abi::BackendV1;
use edgeformer_plugin::edgeformer_core::Backend;
use edgeformer_plugin::export::{Provider, table};

struct Earlier;

impl Provider for Earlier {
    fn backend() -> Result<&'static dyn Backend, &'static str> {
        static BACKEND: OnceLock<Option<CpuBackend>> = OnceLock::new();
        let made = BACKEND.get_or_init(|| CpuBackend::new(&CpuOptions::default()).ok());
        made.as_ref().map(|backend| backend as &dyn Backend).ok_or("the processor is unknown")
    }
}

// SAFETY: no other item of this name is in the library.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static edgeformer_backend_v1: BackendV1 =
    BackendV1 { struct_size: offset_of!(BackendV1, cache_set_adapters), ..table::<Earlier>() };
