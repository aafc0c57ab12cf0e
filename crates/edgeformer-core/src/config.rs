//! Settings: defaults, then `edgeformer.toml`, then `EDGEFORMER_*`, then the command line.

/// Settings of an engine.
#[derive(Debug, Clone, Default)]
pub struct Config {}
