//! Loads ONNX Runtime. `ort` panics at its first call where the library is missing or too old, so
//! everything is looked at before that.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;

use super::find::Place;
use super::look::{RuntimeLibrary, look};
use crate::error::Problem;

/// The first minor version of ONNX Runtime 1 that has every operator.
const OLDEST: u32 = 23;

/// The loaded library.
#[derive(Clone)]
pub(crate) struct Library {
    pub path: PathBuf,
    pub version: String,
    /// The execution providers that it was built with.
    pub providers: Vec<String>,
    pub environment: Environment,
}

/// What this process has loaded: one library, for good.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads the library at a place, or gives the one that is loaded from there.
    pub fn load(place: &Place) -> Result<Self, Problem> {
        let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match loaded.as_ref() {
            Some(library) if library.path == place.path => return Ok(library.clone()),
            Some(library) => {
                let (wanted, loaded) = (place.path.clone(), library.path.clone());
                return Err(Problem::Another { wanted, loaded });
            }
            None => {}
        }
        let RuntimeLibrary { path, version, providers } = look(&place.path)?;
        check_version(&path, &version)?;
        let builder = ort::init_from(&path).map_err(|error| Problem::Runtime(error.to_string()))?;
        let environment = builder.with_name("edgeformer").with_telemetry(false).build()?;
        let library = Self { path, version, providers, environment };
        *loaded = Some(library.clone());
        Ok(library)
    }
}

fn check_version(path: &Path, version: &str) -> Result<(), Problem> {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) >= (1, OLDEST) {
        return Ok(());
    }
    Err(Problem::TooOld { path: path.into(), version: version.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_refused() {
        let path = Path::new("/opt/libonnxruntime.so");
        for fine in ["1.23.0", "1.32.0", "2.0.0"] {
            assert!(check_version(path, fine).is_ok(), "{fine}");
        }
        let refused = check_version(path, "1.22.1").unwrap_err();
        insta::assert_snapshot!(refused, @"/opt/libonnxruntime.so is ONNX Runtime 1.22.1, 1.23 or newer is needed");
        assert!(check_version(path, "none").is_err());
    }
}
