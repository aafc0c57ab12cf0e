//! `adapter_config.json`.

use serde_json::Value;

use crate::error::quote;
use crate::json::Object;
use crate::{Error, Result};

/// What the configuration says of ranks and scales.
#[derive(Debug)]
pub(super) struct Config {
    rank: usize,
    alpha: f64,
    ranks: Vec<(Pattern, usize)>,
    alphas: Vec<(Pattern, f64)>,
    /// Whether scales are `alpha / √rank` (rsLoRA, arXiv 2312.03732), not `alpha / rank`.
    by_root: bool,
}

/// Fields that change what is computed, and are not read: they must say nothing.
const REFUSED: [(&str, &str); 13] = [
    ("use_dora", "DoRA"),
    ("lora_bias", "biases of B"),
    ("use_qalora", "QALoRA"),
    ("use_bdlora", "BD-LoRA"),
    ("modules_to_save", "modules trained as a whole"),
    ("layer_replication", "replicated layers"),
    ("target_parameters", "adapters of parameters that are no module"),
    ("trainable_token_indices", "trained tokens"),
    ("alora_invocation_tokens", "aLoRA"),
    ("arrow_config", "Arrow"),
    ("kasa_config", "KaSA"),
    ("monteclora_config", "MonteCLoRA"),
    ("velora_config", "VeLoRA"),
];

/// Ways to begin training that leave the model's own weights as they are.
const HARMLESS_STARTS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

impl Config {
    /// What a file says.
    ///
    /// # Errors
    /// If it is of another method than LoRA, or of a variant that is not read.
    pub fn of(file: &Object) -> Result<Self> {
        match file.optional_text("peft_type")? {
            Some("LORA") => {}
            Some(other) => {
                let problem = format!("is {}, LORA alone is read", quote(other));
                return Err(file.error("peft_type", problem));
            }
            None => return Err(file.error("peft_type", "is missing: get the adapter again")),
        }
        for (key, what) in REFUSED {
            if file.value(key).is_some_and(says_something) {
                let problem = format!("asks for {what}, which is not read: merge it with peft");
                return Err(file.error(key, problem));
            }
        }
        check_bias(file)?;
        check_start(file)?;
        Ok(Self {
            rank: file.size("r")?,
            alpha: alpha(file)?,
            ranks: patterns(file, "rank_pattern", rank_of)?,
            alphas: patterns(file, "alpha_pattern", finite)?,
            by_root: file.flag_or("use_rslora", false)?,
        })
    }

    /// The rank of a module's matrices.
    pub fn rank(&self, module: &str) -> usize {
        matching(&self.ranks, module).unwrap_or(self.rank)
    }

    /// What the product of a module's matrices is multiplied with.
    pub fn scale(&self, module: &str) -> f32 {
        let (rank, alpha) = (self.rank(module) as f64, matching(&self.alphas, module));
        let divisor = if self.by_root { rank.sqrt() } else { rank };
        (alpha.unwrap_or(self.alpha) / divisor) as f32
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn check_bias(file: &Object) -> Result<()> {
    match file.optional_text("bias")? {
        None | Some("none") => Ok(()),
        Some(other) => {
            let problem =
                format!("is {}, trained biases are not read: merge it with peft", quote(other));
            Err(file.error("bias", problem))
        }
    }
}

/// PiSSA, OLoRA, LoftQ and their like take a part out of the model's own weights at the start.
fn check_start(file: &Object) -> Result<()> {
    let problem = match file.value("init_lora_weights") {
        None | Some(Value::Bool(_)) => return Ok(()),
        Some(Value::String(start)) if HARMLESS_STARTS.contains(&start.as_str()) => return Ok(()),
        Some(Value::String(start)) => format!(
            "is {}, which changes the model's own weights: save the adapter as plain LoRA (peft: path_initial_model_for_weight_conversion)",
            quote(start)
        ),
        Some(_) => "must be true, false or a text".into(),
    };
    Err(file.error("init_lora_weights", problem))
}

fn alpha(file: &Object) -> Result<f64> {
    let value = file.value("lora_alpha");
    let value = value.ok_or_else(|| file.error("lora_alpha", "is missing: get the file again"))?;
    finite(value).ok_or_else(|| file.error("lora_alpha", "must be a finite number"))
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| (*number as f32).is_finite())
}

/// Ranks are at most 2²⁸, as all sizes are.
fn rank_of(value: &Value) -> Option<usize> {
    value.as_u64().filter(|rank| (1..=1 << 28).contains(rank)).map(|rank| rank as usize)
}

/// Which modules a key of `rank_pattern` and `alpha_pattern` is for: those whose names end in it,
/// behind a dot; with `^` at its start the one of that name.
///
/// `peft` has regular expressions here. What it writes itself, and what people write, are names.
#[derive(Debug)]
enum Pattern {
    Whole(String),
    End(String),
}

impl Pattern {
    fn of(key: &str) -> Option<Self> {
        let (name, is_whole) = match key.strip_prefix('^') {
            Some(rest) => (rest, true),
            None => (key, false),
        };
        let name = name.strip_suffix('$').unwrap_or(name).replace("\\.", ".");
        let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        Some(if is_whole { Self::Whole(name) } else { Self::End(name) })
    }

    fn matches(&self, module: &str) -> bool {
        match self {
            Self::Whole(name) => module == name,
            Self::End(name) => module
                .strip_suffix(name.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
        }
    }
}

fn patterns<T>(
    file: &Object,
    key: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(Pattern, T)>> {
    let Some(map) = file.optional_object(key)? else { return Ok(Vec::new()) };
    let one = |(name, value): (&str, &Value)| -> Result<(Pattern, T), Error> {
        let pattern = Pattern::of(name).ok_or_else(|| {
            map.error(name, "is a regular expression, names of modules alone are read")
        })?;
        let value = read(value).ok_or_else(|| map.error(name, "is no number that fits"))?;
        Ok((pattern, value))
    };
    map.entries().map(one).collect()
}

/// The value of the first pattern that a module matches.
fn matching<T: Copy>(patterns: &[(Pattern, T)], module: &str) -> Option<T> {
    patterns.iter().find(|(pattern, _)| pattern.matches(module)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn config(more: Value) -> Result<Config> {
        let mut config = json!({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none"});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        Config::of(&Object::parse(Path::new("adapter_config.json"), &config.to_string())?)
    }

    #[test]
    fn ranks_and_scales_are_those_of_peft() {
        let plain = config(json!({})).expect("valid");
        assert_eq!((plain.rank("a.q_proj"), plain.scale("a.q_proj")), (8, 2.0));
        let root = config(json!({"r": 16, "use_rslora": true})).expect("valid");
        assert_eq!(root.scale("a.q_proj"), 4.0);
        let patterns = config(json!({
            "rank_pattern": {"q_proj": 4, "^layers.1.k_proj": 2},
            "alpha_pattern": {"layers.0.q_proj": 2, "layers\\.7\\.v_proj$": 0.5},
        }));
        let patterns = patterns.expect("valid");
        for (module, rank, scale) in [
            ("layers.0.q_proj", 4, 0.5),
            ("model.layers.0.q_proj", 4, 0.5),
            ("layers.10.q_proj", 4, 4.0),
            ("layers.1.k_proj", 2, 8.0),
            ("model.layers.1.k_proj", 8, 2.0),
            ("layers.7.v_proj", 8, 0.0625),
            ("layers.7.xv_proj", 8, 2.0),
            ("layers.1.eq_proj", 8, 2.0),
        ] {
            assert_eq!((patterns.rank(module), patterns.scale(module)), (rank, scale), "{module}");
        }
    }

    #[test]
    fn other_methods_are_refused_by_their_fields() {
        let refused = [
            json!({"peft_type": "LOHA"}),
            json!({"peft_type": null}),
            json!({"use_dora": true}),
            json!({"bias": "all"}),
            json!({"modules_to_save": ["lm_head"]}),
            json!({"init_lora_weights": "pissa_niter_16"}),
            json!({"rank_pattern": {".*q_proj": 4}}),
            json!({"alpha_pattern": {"q_proj": "a"}}),
            json!({"lora_alpha": 1e300}),
            json!({"lora_alpha": null}),
            json!({"r": 0}),
            json!({"use_rslora": 1}),
        ];
        let told = refused.map(|more| config(more).expect_err("refused").to_string());
        insta::assert_snapshot!(told.join("\n"), @r#"
        adapter_config.json: key "peft_type": is "LOHA", LORA alone is read
        adapter_config.json: key "peft_type": is missing: get the adapter again
        adapter_config.json: key "use_dora": asks for DoRA, which is not read: merge it with peft
        adapter_config.json: key "bias": is "all", trained biases are not read: merge it with peft
        adapter_config.json: key "modules_to_save": asks for modules trained as a whole, which is not read: merge it with peft
        adapter_config.json: key "init_lora_weights": is "pissa_niter_16", which changes the model's own weights: save the adapter as plain LoRA (peft: path_initial_model_for_weight_conversion)
        adapter_config.json: key "rank_pattern..*q_proj": is a regular expression, names of modules alone are read
        adapter_config.json: key "alpha_pattern.q_proj": is no number that fits
        adapter_config.json: key "lora_alpha": must be a finite number
        adapter_config.json: key "lora_alpha": is missing: get the file again
        adapter_config.json: key "r": is 0, it must be at least 1
        adapter_config.json: key "use_rslora": is 1, it must be true or false
        "#);
        let harmless = json!({"use_dora": false, "modules_to_save": [], "rank_pattern": {}, "init_lora_weights": "gaussian"});
        config(harmless).expect("says nothing");
    }
}
