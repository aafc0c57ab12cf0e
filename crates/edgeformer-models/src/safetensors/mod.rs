//! Safetensors, single and sharded.
