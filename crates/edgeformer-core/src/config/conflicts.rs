use super::{Config, MAX_DRAFT, SpeculateSetting, WindowSetting};
use crate::{CacheFormat, Error, Result};

impl Config {
    /// Whether no two settings contradict each other. Errors name both.
    pub(super) fn check_conflicts(&self) -> Result<()> {
        self.check_packed_file()?;
        self.check_tiers()?;
        self.check_eviction()?;
        self.check_sinks()?;
        self.check_speculation()?;
        match self.cache_type_v {
            Some(CacheFormat::Q4_0H) => Err(conflict(
                "cache_type_v is q4_0h, which is for keys: use q4_0 for values beside cache_type_k q4_0h",
            )),
            _ => Ok(()),
        }
    }

    fn check_packed_file(&self) -> Result<()> {
        let others = [("no_repack", self.no_repack), ("no_packed_file", self.no_packed_file)];
        match others.into_iter().find(|&(_, is_set)| is_set && self.packed_file.is_some()) {
            Some((other, _)) => {
                Err(conflict(&format!("packed_file and {other} exclude each other")))
            }
            None => Ok(()),
        }
    }

    fn check_tiers(&self) -> Result<()> {
        let (cold, spill) = (self.cache_cold.is_some(), self.cache_spill.is_some());
        if cold && spill {
            return Err(conflict(
                "cache_cold and cache_spill exclude each other: pages that do not fit go to one of the two",
            ));
        }
        for (name, size) in
            [("cache_budget", self.cache_budget), ("memory_budget", self.memory_budget)]
        {
            if size.is_some_and(|size| size.0 == 0) {
                return Err(conflict(&format!("{name} is 0, it must be at least 1 byte")));
            }
        }
        // A device has the host's memory behind it: where another backend is named, pages go there.
        let on_host = !matches!(self.backend.split('/').next(), Some("auto" | "cpu"));
        match (self.cache_budget, self.memory_budget) {
            (Some(_), _) if !cold && !spill && !on_host => Err(conflict(
                "cache_budget needs cache_cold or cache_spill: pages beyond it must go somewhere",
            )),
            (Some(cache), Some(memory)) if cache > memory => {
                Err(conflict(&format!("cache_budget {cache} is more than memory_budget {memory}")))
            }
            _ => Ok(()),
        }
    }

    fn check_eviction(&self) -> Result<()> {
        let policy = match (self.evict, self.keep) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(conflict("keep needs evict: say h2o or snapkv")),
            (Some(_), None) => {
                return Err(conflict("evict needs keep: say how many entries of a head stay"));
            }
            (Some(policy), Some(_)) => policy,
        };
        let quantized = |format: Option<CacheFormat>| format.is_some_and(CacheFormat::is_quantized);
        let others = [
            ("a quantized cache_type_k", quantized(self.cache_type_k)),
            ("a quantized cache_type_v", quantized(self.cache_type_v)),
            ("window", self.window.is_some()),
            ("sinks", self.sinks.is_some_and(|sinks| sinks > 0)),
            ("attend_pages", self.attend_pages.is_some()),
            ("cache_cold", self.cache_cold.is_some()),
            ("cache_spill", self.cache_spill.is_some()),
        ];
        match others.into_iter().find(|&(_, is_set)| is_set) {
            Some((other, _)) => {
                Err(conflict(&format!("evict {} and {other} exclude each other", policy.name())))
            }
            None => Ok(()),
        }
    }

    /// What is guessed wrongly is taken back: a cache that has drawn conclusions from it cannot.
    fn check_speculation(&self) -> Result<()> {
        let lookup = self.speculate == SpeculateSetting::Lookup;
        let name = match (lookup, &self.draft) {
            (true, Some(_)) => {
                return Err(conflict(
                    "speculate lookup and draft exclude each other: tokens are guessed from the text or by a model",
                ));
            }
            (true, None) => "speculate lookup",
            (false, Some(_)) => "draft",
            (false, None) => return self.check_no_speculation(),
        };
        if self.evict.is_some() {
            return Err(conflict(&format!(
                "{name} and evict exclude each other: what was evicted for a guessed token cannot come back"
            )));
        }
        if matches!(self.window, Some(WindowSetting::Adaptive { .. })) {
            return Err(conflict(&format!(
                "{name} and a window that follows attention exclude each other: a guessed token would move it"
            )));
        }
        let (least, most) = (self.draft_min.unwrap_or(1), self.draft_max.unwrap_or(MAX_DRAFT));
        match (least, most) {
            (0, _) | (_, 0) => Err(conflict("draft_min and draft_max must be at least 1")),
            _ if most > MAX_DRAFT => {
                Err(conflict(&format!("draft_max is {most}, it must be 1 to {MAX_DRAFT}")))
            }
            _ if least > most => {
                Err(conflict(&format!("draft_min {least} is more than draft_max {most}")))
            }
            _ => Ok(()),
        }
    }

    fn check_no_speculation(&self) -> Result<()> {
        let set = [("draft_max", self.draft_max), ("draft_min", self.draft_min)];
        match set.into_iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(conflict(&format!(
                "{name} needs speculate or draft: say where guessed tokens come from"
            ))),
            None => Ok(()),
        }
    }

    /// Sinks and window together must be within what the model knows.
    fn check_sinks(&self) -> Result<()> {
        let (Some(sinks @ 1..), Some(context)) = (self.sinks, self.ctx_size) else { return Ok(()) };
        if sinks >= context {
            return Err(conflict(&format!(
                "sinks {sinks} leave no room in ctx_size {context}: use fewer, such as 4"
            )));
        }
        let window = match self.window {
            Some(WindowSetting::Tokens(tokens)) => tokens,
            Some(WindowSetting::Adaptive { most, .. }) => most,
            Some(WindowSetting::File(_)) | None => return Ok(()),
        };
        if window > context - sinks {
            return Err(conflict(&format!(
                "sinks {sinks} and window {window} do not fit into ctx_size {context}: the window may have {}",
                context - sinks
            )));
        }
        Ok(())
    }
}

fn conflict(problem: &str) -> Error {
    Error::Config(problem.into())
}

#[cfg(test)]
mod tests {
    use super::super::ByteSize;
    use super::*;
    use crate::EvictionPolicy;

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check_conflicts().unwrap_err().to_string()
    }

    #[test]
    fn settings_that_exclude_each_other_are_both_named() {
        let told = refusal(|config| {
            config.cache_cold = Some(CacheFormat::Q4_0);
            config.cache_spill = Some("pages".into());
        });
        assert!(told.contains("cache_cold and cache_spill"), "{told}");
        let told = refusal(|config| config.cache_budget = Some(ByteSize(1 << 20)));
        assert!(told.contains("cache_budget needs cache_cold or cache_spill"), "{told}");
        let elsewhere = Config {
            backend: "candle/cuda:0".into(),
            cache_budget: Some(ByteSize(1 << 20)),
            ..Config::default()
        };
        elsewhere.check().unwrap();
        let told = refusal(|config| {
            config.cache_spill = Some("pages".into());
            config.cache_budget = Some(ByteSize(2 << 20));
            config.memory_budget = Some(ByteSize(1 << 20));
        });
        assert!(
            told.contains("cache_budget 2MiB") && told.contains("memory_budget 1MiB"),
            "{told}"
        );
    }

    #[test]
    fn eviction_says_what_it_needs_and_excludes() {
        assert!(refusal(|config| config.keep = Some(8)).contains("keep needs evict"));
        assert!(
            refusal(|config| config.evict = Some(EvictionPolicy::H2o)).contains("evict needs keep")
        );
        let told = refusal(|config| {
            (config.evict, config.keep) = (Some(EvictionPolicy::SnapKv), Some(8));
            config.window = Some(WindowSetting::Tokens(64));
        });
        assert!(told.contains("evict snapkv and window"), "{told}");
        let told = refusal(|config| {
            (config.evict, config.keep) = (Some(EvictionPolicy::H2o), Some(8));
            config.cache_type_v = Some(CacheFormat::Q8_0);
        });
        assert!(told.contains("evict h2o and a quantized cache_type_v"), "{told}");
    }

    #[test]
    fn speculation_says_what_it_needs_and_excludes() {
        let lookup = |change: fn(&mut Config)| {
            refusal(|config| {
                config.speculate = SpeculateSetting::Lookup;
                change(config);
            })
        };
        let told = lookup(|config| config.draft = Some("small.gguf".into()));
        assert!(told.contains("speculate lookup and draft exclude each other"), "{told}");
        let told = lookup(|config| {
            (config.evict, config.keep) = (Some(EvictionPolicy::H2o), Some(8));
        });
        assert!(told.contains("speculate lookup and evict"), "{told}");
        let told = lookup(|config| {
            config.window = Some(WindowSetting::Adaptive { least: 4, most: 8 });
        });
        assert!(told.contains("window that follows attention"), "{told}");
        assert!(lookup(|config| config.draft_max = Some(99)).contains("must be 1 to 31"));
        assert!(lookup(|config| config.draft_min = Some(0)).contains("at least 1"));
        let told = lookup(|config| (config.draft_min, config.draft_max) = (Some(5), Some(4)));
        assert!(told.contains("draft_min 5 is more than draft_max 4"), "{told}");
        let told = refusal(|config| config.draft_max = Some(4));
        assert!(told.contains("draft_max needs speculate or draft"), "{told}");
    }

    #[test]
    fn sinks_need_room_in_the_context() {
        let with = |sinks, window, context| {
            move |config: &mut Config| {
                (config.sinks, config.window, config.ctx_size) =
                    (Some(sinks), window, Some(context));
            }
        };
        assert!(refusal(with(64, None, 64)).contains("sinks 64 leave no room in ctx_size 64"));
        let window = Some(WindowSetting::Tokens(61));
        assert!(refusal(with(4, window.clone(), 64)).contains("the window may have 60"));
        let mut config = Config::default();
        with(4, window, 65)(&mut config);
        assert!(config.check_conflicts().is_ok());
    }

    #[test]
    fn rotated_values_are_refused() {
        let told = refusal(|config| config.cache_type_v = Some(CacheFormat::Q4_0H));
        assert!(told.contains("cache_type_v") && told.contains("q4_0h"), "{told}");
    }
}
