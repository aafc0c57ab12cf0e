//! Ways to keep the past: the rows of the table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use edgeformer::window_tuning::WindowFile;
use serde::{Deserialize, Serialize};

use edgeformer_core::{
    CacheFormat, Eviction, EvictionPolicy, HeadWindows, SessionOptions, Tiers, Visibility, Window,
};

use crate::{Error, Result};

/// First tokens that windows keep besides.
const SINKS: usize = 4;

/// A way to keep the past. Reads and writes itself as a word or two: `q8_0/q4_0`, `window 256`,
/// `adaptive 64:256`, `pages 8`, `spilled 1/4`, `cold q4_0`, `h2o 128`, `snapkv 128`,
/// `windows FILE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Configuration {
    /// Formats of keys and values.
    Formats {
        /// Of keys and latents.
        keys: CacheFormat,
        /// Of values.
        values: CacheFormat,
    },
    /// A window over the newest tokens, and four sinks.
    Window(usize),
    /// A window that follows attention, and four sinks.
    Adaptive {
        /// Tokens that it holds at least.
        least: usize,
        /// Tokens that it holds at most.
        most: usize,
    },
    /// Windows by layer and head, and sinks, as `tune-window` has found them.
    Tuned {
        /// Where they come from.
        file: PathBuf,
        /// The windows.
        windows: Arc<HeadWindows>,
        /// First tokens that are seen besides.
        sinks: usize,
    },
    /// Of the full pages only so many are attended.
    Pages(usize),
    /// Pages beyond that share of the full cache lie in a file.
    Spilled {
        /// One part in so many stays in memory.
        parts: u64,
    },
    /// Pages far from the end are kept in a lower format, within half of the full cache.
    Cold(CacheFormat),
    /// Entries that attention passes over are dropped.
    Evict(Eviction),
}

impl Configuration {
    /// What a session does that nobody told otherwise: all others are compared with it.
    pub const BASELINE: Self = Self::Formats { keys: CacheFormat::F16, values: CacheFormat::F16 };

    /// The rows that a table has if nobody chooses, the baseline first.
    pub fn standard() -> Vec<Self> {
        use CacheFormat::{F16, Q4_0, Q4_0H, Q8_0};
        let formats = [(F16, F16), (Q8_0, Q8_0), (Q8_0, Q4_0), (Q4_0, Q4_0), (Q4_0H, Q4_0)];
        // Less than half of a window of 512 tokens, or nothing would be dropped while that is scored.
        let evict = |policy| Self::Evict(Eviction { policy, keep: 128 });
        let formats = formats.map(|(keys, values)| Self::Formats { keys, values });
        let others = [
            Self::Window(256),
            Self::Adaptive { least: 64, most: 256 },
            Self::Pages(8),
            Self::Pages(4),
            Self::Spilled { parts: 4 },
            Self::Cold(Q4_0),
            evict(EvictionPolicy::H2o),
            evict(EvictionPolicy::SnapKv),
        ];
        formats.into_iter().chain(others).collect()
    }

    /// Windows that `tune-window` has written.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    pub fn tuned(file: &Path) -> Result<Self> {
        let WindowFile { windows, sinks, .. } = WindowFile::read_unchecked(file)?;
        Ok(Self::Tuned { file: file.into(), windows: Arc::new(windows), sinks })
    }

    /// The session that keeps the past so, of the sizes that `base` has. `full` are the bytes that
    /// its cache takes with nothing left out; `folder` is where a file may lie.
    pub fn session(&self, base: &SessionOptions, full: u64, folder: &Path) -> SessionOptions {
        let base = base.clone();
        let seen = |window, sinks| Visibility { window, sinks, ..Visibility::default() };
        let visible = |visibility| SessionOptions { visibility, ..base.clone() };
        match self {
            Self::Formats { keys, values } => {
                SessionOptions { cache_type_k: *keys, cache_type_v: *values, ..base }
            }
            Self::Window(tokens) => visible(seen(Window::Tokens(*tokens), SINKS)),
            Self::Adaptive { least, most } => {
                visible(seen(Window::Adaptive { least: *least, most: *most }, SINKS))
            }
            Self::Tuned { windows, sinks, .. } => {
                visible(seen(Window::Heads(windows.clone()), *sinks))
            }
            Self::Pages(count) => {
                visible(Visibility { attend_pages: Some(*count), ..Visibility::default() })
            }
            Self::Evict(eviction) => {
                visible(Visibility { eviction: Some(*eviction), ..Visibility::default() })
            }
            Self::Spilled { parts } => {
                let budget = Some(full.div_ceil(*parts));
                SessionOptions {
                    tiers: Tiers { budget, cold: None, spill: Some(folder.into()) },
                    ..base
                }
            }
            Self::Cold(format) => {
                let budget = Some(full.div_ceil(2));
                SessionOptions { tiers: Tiers { budget, cold: Some(*format), spill: None }, ..base }
            }
        }
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Formats { keys, values } => match (keys.name(), values.name()) {
                (keys, values) if keys == values => f.write_str(keys),
                (keys, values) => write!(f, "{keys}/{values}"),
            },
            Self::Window(tokens) => write!(f, "window {tokens}"),
            Self::Adaptive { least, most } => write!(f, "adaptive {least}:{most}"),
            Self::Tuned { file, .. } => write!(f, "windows {}", file.display()),
            Self::Pages(count) => write!(f, "pages {count}"),
            Self::Spilled { parts } => write!(f, "spilled 1/{parts}"),
            Self::Cold(format) => write!(f, "cold {}", format.name()),
            Self::Evict(eviction) => write!(f, "{} {}", eviction.policy.name(), eviction.keep),
        }
    }
}

impl FromStr for Configuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match text.split_once(' ') {
            None => formats(text),
            Some((word, value)) => worded(word, value.trim()).unwrap_or(Err(unknown(text))),
        }
    }
}

/// A kind of configuration with a value; `None` if there is no such kind or value.
fn worded(word: &str, value: &str) -> Option<Result<Configuration>> {
    let count = || value.parse().ok().filter(|&count: &usize| count > 0);
    let evict = |policy| Some(Configuration::Evict(Eviction { policy, keep: count()? }));
    let found = match word {
        "window" => Configuration::Window(count()?),
        "adaptive" => {
            let (least, most) = value.split_once(':')?;
            Configuration::Adaptive { least: least.parse().ok()?, most: most.parse().ok()? }
        }
        "windows" => return Some(Configuration::tuned(Path::new(value))),
        "pages" => Configuration::Pages(count()?),
        "spilled" => {
            let parts = value.strip_prefix("1/")?.parse().ok().filter(|&parts: &u64| parts > 0)?;
            Configuration::Spilled { parts }
        }
        "cold" => return Some(value.parse().map(Configuration::Cold).map_err(Error::from)),
        "h2o" => evict(EvictionPolicy::H2o)?,
        "snapkv" => evict(EvictionPolicy::SnapKv)?,
        _ => return None,
    };
    Some(Ok(found))
}

/// `q8_0`, or `q8_0/q4_0` with keys before values. Rotation is for keys: values beside `q4_0h`
/// alone are `q4_0`.
fn formats(text: &str) -> Result<Configuration> {
    let format = |name: &str| CacheFormat::from_name(name).ok_or_else(|| unknown(text));
    let (keys, values) = match text.split_once('/') {
        Some((keys, values)) => (format(keys)?, format(values)?),
        None => (format(text)?, format(text)?),
    };
    let values = if values == CacheFormat::Q4_0H { CacheFormat::Q4_0 } else { values };
    Ok(Configuration::Formats { keys, values })
}

fn unknown(text: &str) -> Error {
    Error::Request(format!(
        "unknown cache configuration {text:?}: write formats (f16, q8_0/q4_0), \"window N\", \
         \"adaptive LEAST:MOST\", \"windows FILE\", \"pages N\", \"spilled 1/N\", \"cold FORMAT\", \
         \"h2o N\" or \"snapkv N\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> SessionOptions {
        let configuration: Configuration = name.parse().unwrap();
        configuration.session(&SessionOptions::default(), 1001, Path::new("folder"))
    }

    #[test]
    fn names_lead_back_to_configurations() {
        let standard = Configuration::standard();
        assert_eq!(standard[0], Configuration::BASELINE);
        let names: Vec<String> = standard.iter().map(Configuration::to_string).collect();
        let expected = "f16, q8_0, q8_0/q4_0, q4_0, q4_0h/q4_0, window 256, adaptive 64:256, \
                        pages 8, pages 4, spilled 1/4, cold q4_0, h2o 128, snapkv 128";
        assert_eq!(names.join(", "), expected);
        for (configuration, name) in standard.iter().zip(&names) {
            assert_eq!(&name.parse::<Configuration>().unwrap(), configuration);
        }
    }

    #[test]
    fn wrong_names_are_refused_with_what_would_do() {
        for wrong in ["", "q9", "f16/", "window", "window x", "window 0", "pages -1", "spilled 4"] {
            let error = wrong.parse::<Configuration>().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")) && error.contains("snapkv N"), "{error}");
        }
        assert!("cold q9".parse::<Configuration>().unwrap_err().to_string().contains("q4_0h"));
        assert!("windows absent.json".parse::<Configuration>().is_err());
    }

    #[test]
    fn windows_come_from_files_of_tune_window() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.json");
        let windows = HeadWindows { slots: vec![vec![Some(9), None]] };
        let (family, heads) = ("llama".to_owned(), vec![2]);
        let file = WindowFile {
            family,
            heads,
            mass: 0.95,
            sinks: 3,
            context: 64,
            tokens: 640,
            windows: windows.clone(),
        };
        file.write(&path).unwrap();
        let visibility = session(&format!("windows {}", path.display())).visibility;
        assert_eq!(visibility.window, Window::Heads(windows.into()));
        assert_eq!(visibility.sinks, 3);
    }

    #[test]
    fn sessions_differ_in_what_the_name_says() {
        let base = SessionOptions::default();
        assert_eq!(session("f16"), base);
        assert_eq!(session("q4_0h").cache_type_k, CacheFormat::Q4_0H);
        assert_eq!(session("q4_0h").cache_type_v, CacheFormat::Q4_0);
        let window = session("window 256").visibility;
        assert_eq!((window.window, window.sinks), (Window::Tokens(256), SINKS));
        assert_eq!(session("pages 3").visibility.attend_pages, Some(3));
        let tiers = session("spilled 1/4").tiers;
        assert_eq!((tiers.budget, tiers.cold), (Some(251), None));
        assert_eq!(tiers.spill.as_deref(), Some(Path::new("folder")));
        let tiers = session("cold q4_0").tiers;
        assert_eq!((tiers.budget, tiers.cold), (Some(501), Some(CacheFormat::Q4_0)));
        assert_eq!(session("h2o 9").visibility.eviction.unwrap().keep, 9);
    }
}
