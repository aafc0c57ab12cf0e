//! The one place that reads environment variables.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use edgeformer_core::{Config, Result};

use crate::{Places, Precision, RocmOptions};

/// Where ROCm is installed where nobody says so.
const ROCM: &str = "/opt/rocm";

impl RocmOptions {
    /// What the environment says:
    ///
    /// | variable | |
    /// |---|---|
    /// | `ROCM_PATH` | where ROCm is installed, by default `/opt/rocm` |
    /// | `EDGEFORMER_ROCM_PRECISION` | `model` (the default), `fp16` or `int8` |
    /// | `EDGEFORMER_ROCM_CALIBRATION` | for `int8`: the file with the ranges of the activations |
    ///
    /// Compiled models are kept in `migraphx/` of the user's cache folder.
    ///
    /// # Errors
    /// If a variable has a value that it cannot have.
    pub fn from_environment() -> Result<Self> {
        let cache = Config::default().cache_folder();
        read(&|name| env::var_os(name).filter(|value| !value.is_empty()), cache)
    }
}

fn read(
    variable: &dyn Fn(&str) -> Option<OsString>,
    cache: Option<PathBuf>,
) -> Result<RocmOptions> {
    let path = |name| variable(name).map(PathBuf::from);
    let rocm = path("ROCM_PATH").unwrap_or_else(|| ROCM.into());
    let precision = variable("EDGEFORMER_ROCM_PRECISION").unwrap_or_default();
    let precision =
        Precision::parse(&precision.to_string_lossy(), path("EDGEFORMER_ROCM_CALIBRATION"))?;
    Ok(RocmOptions {
        // MIGraphX has had a folder of its own inside.
        places: Places {
            libraries: vec![rocm.join("lib"), rocm.join("lib/migraphx/lib")],
            ..Places::default()
        },
        library: None,
        precision,
        model_cache: cache.map(|cache| cache.join("migraphx")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_options() {
        let with = |set: &'static [(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            read(&|name| find(name).map(|(_, value)| value.into()), Some("/cache".into()))
        };
        let usual = with(&[]).unwrap();
        let folders = ["/opt/rocm/lib", "/opt/rocm/lib/migraphx/lib"].map(PathBuf::from);
        assert_eq!(usual.places.libraries, folders);
        assert_eq!(usual.model_cache, Some("/cache/migraphx".into()));
        let other = with(&[
            ("ROCM_PATH", "/opt/rocm-7.2.4"),
            ("EDGEFORMER_ROCM_PRECISION", "int8"),
            ("EDGEFORMER_ROCM_CALIBRATION", "/ranges"),
        ]);
        let other = other.unwrap();
        assert_eq!(other.places.libraries[0], PathBuf::from("/opt/rocm-7.2.4/lib"));
        assert_eq!(other.precision, Precision::Int8 { calibration: "/ranges".into() });
        assert!(with(&[("EDGEFORMER_ROCM_PRECISION", "int8")]).is_err());
    }
}
