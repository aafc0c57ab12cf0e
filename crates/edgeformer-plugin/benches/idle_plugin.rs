//! The backend that computes nothing, as a plugin.

mod idle;

edgeformer_plugin::export_backend!(idle::Idle);
