use edgeformer_core::{CacheFormat, LatentForm};
use serde::{Deserialize, Serialize};

/// What was found to be the best; `None` is the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Choices {
    /// Threads that work on single tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Threads that read prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads_batch: Option<usize>,
    /// Tokens of a chunk in which prompts are processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<usize>,
    /// Whether weights are packed; where they are not, the file's are multiplied in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repack: Option<bool>,
    /// Format of the cache. Only those that lose no quality against the usual one are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_type: Option<CacheFormat>,
    /// Form of latent attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latent_form: Option<LatentForm>,
}

impl Choices {
    /// The format of the cache, the usual one where none was chosen.
    pub(crate) fn cache_type(&self) -> CacheFormat {
        self.cache_type.unwrap_or(CacheFormat::F16)
    }
}

/// A way to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Threads that work on single tokens.
    pub threads: usize,
    /// Threads that read prompts.
    pub threads_batch: usize,
    /// Tokens of a chunk of a prompt.
    pub chunk: usize,
    /// Whether weights are packed.
    pub repack: bool,
    /// Format of cached keys and values.
    pub cache_type: CacheFormat,
    /// Form of latent attention.
    pub latent_form: LatentForm,
}

/// What was measured of one value of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The setting: `threads`, `threads_batch`, `repack`, `ubatch_size`, `cache_type`,
    /// `mla`.
    pub setting: String,
    /// Its value.
    pub value: String,
    /// Tokens a second, the median.
    pub tokens_per_second: f64,
    /// How far the best measurement lies from the median, relative to it.
    pub noise: f64,
    /// How often it was measured.
    pub rounds: usize,
    /// Whether it is what is used without a profile.
    pub usual: bool,
    /// Whether it was chosen.
    pub chosen: bool,
}

/// What tuning has found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tuning {
    /// What differs from the usual.
    pub choices: Choices,
    /// What was measured, setting by setting.
    pub trials: Vec<Trial>,
    /// Settings that there was no time to measure, and why.
    pub skipped: Vec<String>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Tuning {
    /// Each setting with what was chosen and what the others did, a line each: for people.
    pub fn explain(&self) -> Vec<String> {
        let of_setting = self.trials.chunk_by(|a, b| a.setting == b.setting).map(|trials| {
            let told: Vec<String> = trials.iter().map(told).collect();
            format!("{}: {}", trials[0].setting, told.join(", "))
        });
        of_setting.chain(self.skipped.iter().cloned()).collect()
    }
}

fn told(trial: &Trial) -> String {
    let marks = match (trial.chosen, trial.usual) {
        (true, true) => " (chosen, as usual)",
        (true, false) => " (chosen)",
        (false, true) => " (usual)",
        (false, false) => "",
    };
    format!(
        "{}{marks} {:.1} tokens/s ±{:.0} %",
        trial.value,
        trial.tokens_per_second,
        trial.noise * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_told_in_a_line() {
        let trial = |setting: &str, value: &str, rate, usual, chosen| Trial {
            setting: setting.into(),
            value: value.into(),
            tokens_per_second: rate,
            noise: 0.014,
            rounds: 5,
            usual,
            chosen,
        };
        let tuning = Tuning {
            trials: vec![
                trial("threads", "2", 50.0, true, false),
                trial("threads", "1", 60.25, false, true),
                trial("ubatch_size", "512", 300.0, true, true),
            ],
            skipped: vec!["mla: no time".into()],
            ..Tuning::default()
        };
        assert_eq!(
            tuning.explain(),
            [
                "threads: 2 (usual) 50.0 tokens/s ±1 %, 1 (chosen) 60.2 tokens/s ±1 %",
                "ubatch_size: 512 (chosen, as usual) 300.0 tokens/s ±1 %",
                "mla: no time",
            ]
        );
    }

    #[test]
    fn choices_are_kept_as_far_as_there_are_any() {
        let choices = Choices { threads: Some(3), ..Choices::default() };
        let text = serde_json::to_string(&choices).unwrap();
        assert_eq!(text, r#"{"threads":3}"#);
        assert_eq!(serde_json::from_str::<Choices>(&text).unwrap(), choices);
    }
}
