//! Settings: defaults, then `edgeformer.toml`, then `EDGEFORMER_*`, then the command line.
//!
//! All settings are flat, so that one name serves everywhere: `top_k` in the file,
//! `EDGEFORMER_TOP_K` in the environment, `--top-k` on the command line. A key that does not
//! exist is refused with the nearest one that does.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::{CacheFormat, Error, Result};

/// The file that is read from the working directory if it is there.
pub const FILE_NAME: &str = "edgeformer.toml";

/// What every variable of ours in the environment starts with.
pub const ENV_PREFIX: &str = "EDGEFORMER_";

/// Variables with the prefix that are not settings of an engine: `EDGEFORMER_CONFIG` names the
/// settings file itself, `EDGEFORMER_SHARED` is where tests find reference data.
const OTHER_VARIABLES: [&str; 2] = ["config", "shared"];

/// Settings of an engine and of text generation. Names and defaults are llama.cpp's where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A GGUF file or a Hugging Face folder; none is the embedded model.
    pub model: Option<PathBuf>,
    /// `auto`, a backend's name, or `BACKEND/DEVICE`.
    pub backend: String,
    /// Threads that compute; none lets the backend choose.
    pub threads: Option<usize>,
    /// Instruction set of the CPU backend; none is the best one found.
    pub isa: Option<String>,
    /// Tokens that a sequence may hold; none is what the model was trained on, at most 4,096.
    pub ctx_size: Option<usize>,
    /// Rows of one step: the chunk in which prompts are processed.
    pub ubatch_size: usize,
    /// Sequences served at the same time.
    pub parallel: usize,
    /// Format of cached keys; none lets the command choose (f16, for `logits` f32).
    pub cache_type_k: Option<CacheFormat>,
    /// Format of cached values; none as for keys.
    pub cache_type_v: Option<CacheFormat>,
    /// Tokens of a cache page.
    pub page_size: usize,
    /// No progress and no statistics on stderr.
    pub quiet: bool,
    /// Seed of sampling; none draws one.
    pub seed: Option<u64>,
    /// Tokens to generate at most; none is until the context is full.
    pub max_tokens: Option<usize>,
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of tokens with this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this share as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Keeps the most typical tokens up to this probability; 1 keeps all.
    pub typical_p: f32,
    /// Divides the logits of recent tokens; 1 is off.
    pub repeat_penalty: f32,
    /// How many tokens are recent; 0 none, -1 all of the context.
    pub repeat_last_n: i64,
    /// Subtracted from the logits of tokens that occurred recently.
    pub presence_penalty: f32,
    /// Subtracted from the logits of recent tokens as often as they occurred.
    pub frequency_penalty: f32,
    /// Strength of the penalty on repeating sequences (DRY); 0 is off.
    pub dry_multiplier: f32,
    /// Base of DRY's growth with the length of the repetition.
    pub dry_base: f32,
    /// Repetitions up to this length cost nothing.
    pub dry_allowed_length: usize,
    /// How many tokens DRY looks back; 0 none, -1 all of the context.
    pub dry_penalty_last_n: i64,
    /// Generation goes on behind the end-of-text token.
    pub ignore_eos: bool,
    /// Texts at which generation stops; they are not part of the answer.
    pub stop: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            backend: "auto".into(),
            threads: None,
            isa: None,
            ctx_size: None,
            ubatch_size: 512,
            parallel: 1,
            cache_type_k: None,
            cache_type_v: None,
            page_size: 64,
            quiet: false,
            seed: None,
            max_tokens: None,
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: -1,
            ignore_eos: false,
            stop: Vec::new(),
        }
    }
}

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

    /// Whether every value is one it can have.
    fn check(&self) -> Result<()> {
        let counts = [
            ("ctx_size", self.ctx_size.unwrap_or(1)),
            ("ubatch_size", self.ubatch_size),
            ("parallel", self.parallel),
            ("page_size", self.page_size),
            ("threads", self.threads.unwrap_or(1)),
        ];
        for (name, count) in counts {
            if count == 0 || count > 1 << 24 {
                return Err(Error::Config(format!(
                    "{name} is {count}, it must be 1 to {}",
                    1 << 24
                )));
            }
        }
        let unlimited = f32::MAX;
        let ranges = [
            ("temperature", self.temperature, 0.0, unlimited),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("typical_p", self.typical_p, 0.0, 1.0),
            ("repeat_penalty", self.repeat_penalty, f32::MIN_POSITIVE, unlimited),
            ("presence_penalty", self.presence_penalty, -unlimited, unlimited),
            ("frequency_penalty", self.frequency_penalty, -unlimited, unlimited),
            ("dry_multiplier", self.dry_multiplier, 0.0, unlimited),
            ("dry_base", self.dry_base, 1.0, unlimited),
        ];
        for (name, value, low, high) in ranges {
            // Also refuses NaN.
            if !(low..=high).contains(&value) {
                return Err(Error::Config(format!(
                    "{name} is {value}, it must be from {low} to {high}"
                )));
            }
        }
        Ok(())
    }
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

/// The known name with the fewest edits, if at most a third of the letters change.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let normal = name.to_ascii_lowercase().replace('-', "_");
    let (edits, best) = known.iter().map(|&known| (edits(&normal, known), known)).min()?;
    (edits <= normal.len().max(best.len()).div_ceil(3)).then_some(best)
}

/// Levenshtein's distance in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use figment::Jail;

    use super::*;

    type Overrides = BTreeMap<&'static str, f32>;

    fn load(overrides: Overrides) -> Result<Config> {
        Config::load(&Sources { file: None, environment: true, overrides })
    }

    #[test]
    #[allow(clippy::result_large_err, reason = "figment's test jail asks for its own error")]
    fn later_sources_win() {
        Jail::expect_with(|jail| {
            jail.create_file(
                FILE_NAME,
                "temperature = 0.1\ntop_k = 7\ntop_p = 0.5\ncache_type_k = \"f32\"",
            )?;
            jail.set_env("EDGEFORMER_TEMPERATURE", "0.2");
            jail.set_env("EDGEFORMER_TOP_P", "0.6");
            jail.set_env("EDGEFORMER_SHARED", "/elsewhere");
            let config = load(Overrides::from([("temperature", 0.3)])).unwrap();
            assert_eq!((config.temperature, config.top_p, config.top_k), (0.3, 0.6, 7));
            assert_eq!(config.cache_type_k, Some(CacheFormat::F32));
            assert_eq!(config.min_p, Config::default().min_p);
            Ok(())
        });
    }

    #[test]
    #[allow(clippy::result_large_err, reason = "figment's test jail asks for its own error")]
    fn unknown_keys_are_refused_with_the_nearest() {
        Jail::expect_with(|jail| {
            jail.create_file(FILE_NAME, "temprature = 0.1")?;
            let error = load(Overrides::new()).unwrap_err().to_string();
            assert!(
                error.contains(FILE_NAME) && error.contains("did you mean \"temperature\"?"),
                "{error}"
            );
            jail.create_file(FILE_NAME, "")?;
            jail.set_env("EDGEFORMER_THREAD", "2");
            let error = load(Overrides::new()).unwrap_err().to_string();
            assert!(
                error.contains("environment") && error.contains("did you mean \"threads\"?"),
                "{error}"
            );
            Ok(())
        });
    }

    #[test]
    #[allow(clippy::result_large_err, reason = "figment's test jail asks for its own error")]
    fn values_out_of_range_are_refused() {
        Jail::expect_with(|jail| {
            for (key, value) in [("top_p", 1.5), ("temperature", -1.0), ("repeat_penalty", 0.0)] {
                let error = load(Overrides::from([(key, value)])).unwrap_err().to_string();
                assert!(error.contains(key), "{error}");
            }
            jail.create_file(FILE_NAME, "threads = \"many\"")?;
            assert!(load(Overrides::new()).unwrap_err().to_string().contains("threads"));
            jail.create_file(FILE_NAME, "threads = = 2")?;
            let error = load(Overrides::new()).unwrap_err().to_string();
            assert!(error.contains(FILE_NAME) && !error.contains('\n'), "{error}");
            Ok(())
        });
    }

    #[test]
    fn nearest_finds_typing_errors_and_nothing_else() {
        let known = ["temperature", "top_k", "threads"];
        assert_eq!(nearest("top-k", &known), Some("top_k"));
        assert_eq!(nearest("TEMPERATUR", &known), Some("temperature"));
        assert_eq!(nearest("zzzzzzzz", &known), None);
    }
}
