//! The reference data.
#![allow(dead_code, reason = "not every file of tests needs all of it")]

use std::path::{Path, PathBuf};

/// The model of 260,000 parameters, in the folder of reference data.
const STORIES: &str = "models/stories260k/stories260k-f32.gguf";

/// The folder of reference data; says in one line that a test is skipped if it is not there.
pub fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("EDGEFORMER_SHARED").map_or(beside, PathBuf::from);
    let file = shared.join(STORIES);
    if file.exists() {
        return Some(shared);
    }
    eprintln!("skipped: {} is not there (set EDGEFORMER_SHARED)", file.display());
    None
}

/// That model, where the reference data are.
pub fn stories() -> Option<PathBuf> {
    Some(shared()?.join(STORIES))
}
