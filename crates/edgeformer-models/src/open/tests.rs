use super::*;
use edgeformer_conformance::shared;

/// Every fixture folder, every format, and both real models open.
#[test]
fn every_fixture_opens() {
    let folders = ["fixtures/hf", "fixtures/gguf-blocks", "models/stories260k"];
    for folder in folders {
        let Some(folder) = shared(folder) else { return };
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "gguf") {
                let opened = open(&path);
                assert!(opened.is_ok(), "{}", opened.unwrap_err());
            }
        }
    }
}
