use std::path::PathBuf;

/// A file or folder of the reference data outside the repository, `None` where it is absent.
///
/// The data lie in `EDGEFORMER_SHARED`, by default `shared` beside the repository. A test that
/// gets `None` returns; this function has said so in one line.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root =
        std::env::var_os("EDGEFORMER_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: {} is not there (set EDGEFORMER_SHARED)", found.display());
    None
}
