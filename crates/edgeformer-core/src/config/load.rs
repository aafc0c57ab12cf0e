use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::Serialize;

use super::{Config, ENV_PREFIX, FILE_NAME, nearest};
use crate::{Error, Result};

/// Variables with the prefix that are not settings of an engine: `EDGEFORMER_CONFIG` names the
/// settings file itself, `EDGEFORMER_ORT` the library of ONNX Runtime, `EDGEFORMER_SHARED` is where
/// tests find reference data, `EDGEFORMER_ROCM_*` say how AMD GPUs compute.
const OTHER_VARIABLES: [&str; 5] =
    ["config", "ort", "rocm_calibration", "rocm_precision", "shared"];

/// Settings that name code to run. A file in the working directory may be anybody's, so they come
/// from the command line and the environment alone.
const NOT_IN_FILES: [&str; 2] = ["plugin", "plugin_dir"];

/// Where settings come from besides the defaults, weakest first.
#[derive(Debug, Default)]
pub struct Sources<'a, T> {
    /// A settings file that must exist. Without one it is the one that `EDGEFORMER_CONFIG` names,
    /// else [`FILE_NAME`] if it is there.
    pub file: Option<&'a Path>,
    /// Whether `EDGEFORMER_*` counts.
    pub environment: bool,
    /// What the command line says: a struct or map whose keys are those of [`Config`] and whose
    /// unset fields are skipped.
    pub overrides: T,
}

impl Config {
    /// Merges the sources.
    ///
    /// # Errors
    /// If a file is missing or not TOML, a key is unknown, or a value is of the wrong kind or
    /// out of range.
    pub fn load<T: Serialize>(sources: &Sources<'_, T>) -> Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        let named = sources
            .environment
            .then(|| std::env::var_os("EDGEFORMER_CONFIG"))
            .flatten()
            .map(PathBuf::from);
        figment = match sources.file.or(named.as_deref()) {
            Some(file) if !file.is_file() => {
                return Err(Error::Config(format!("{}: there is no such file", file.display())));
            }
            Some(file) => figment.merge(Toml::file_exact(file)),
            None if Path::new(FILE_NAME).is_file() => figment.merge(Toml::file_exact(FILE_NAME)),
            None => figment,
        };
        check_file(&figment)?;
        if sources.environment {
            figment = figment.merge(Env::prefixed(ENV_PREFIX).ignore(&OTHER_VARIABLES));
        }
        let config: Self = figment
            .merge(Serialized::defaults(&sources.overrides))
            .extract()
            .map_err(|error| explain(&error))?;
        config.check()?;
        Ok(config)
    }
}

/// Whether the file, if one was merged, says only what a file may.
fn check_file(figment: &Figment) -> Result<()> {
    for key in NOT_IN_FILES {
        let source = figment.find_metadata(key).and_then(|metadata| metadata.source.as_ref());
        if let Some(figment::Source::File(file)) = source {
            return Err(Error::Config(format!(
                "{}: {key} names code to run, which a settings file may not: use --plugin or EDGEFORMER_PLUGIN_DIR",
                file.display()
            )));
        }
    }
    Ok(())
}

/// One line: where, what, and the nearest name for an unknown key.
fn explain(error: &figment::Error) -> Error {
    use figment::error::Kind;
    let source =
        error.metadata.as_ref().map_or("settings".into(), |metadata| match &metadata.source {
            Some(figment::Source::File(file)) => file.display().to_string(),
            _ if metadata.name.contains("environment") => "environment".into(),
            _ => "settings".to_string(),
        });
    let text = match &error.kind {
        Kind::UnknownField(key, known) => match nearest(key, known) {
            Some(name) => format!("unknown key {key:?}; did you mean {name:?}?"),
            None => format!("unknown key {key:?}; known are {}", known.join(", ")),
        },
        kind => match error.path.join(".") {
            path if path.is_empty() => kind.to_string(),
            path => format!("{path}: {kind}"),
        },
    };
    // TOML errors run over several lines; ours are one.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Config(format!("{source}: {text}"))
}
