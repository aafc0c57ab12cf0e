//! A plugin whose backend cannot be made.

use edgeformer_backend_cpu::CpuBackend;

edgeformer_plugin::export_backend!(CpuBackend, || Err::<CpuBackend, _>("the driver is missing"));
