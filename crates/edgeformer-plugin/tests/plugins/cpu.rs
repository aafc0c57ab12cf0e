//! The CPU backend, as a plugin.

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};

edgeformer_plugin::export_backend!(CpuBackend, || CpuBackend::new(&CpuOptions::default()));
