use super::{Config, WindowSetting};
use crate::{CacheFormat, Error, Result};

impl Config {
    /// Whether no two settings contradict each other. Errors name both.
    pub(super) fn check_conflicts(&self) -> Result<()> {
        self.check_tiers()?;
        self.check_eviction()?;
        self.check_sinks()?;
        match self.cache_type_v {
            Some(CacheFormat::Q4_0H) => Err(conflict(
                "cache_type_v is q4_0h, which is for keys: use q4_0 for values beside cache_type_k q4_0h",
            )),
            _ => Ok(()),
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
        match (self.cache_budget, self.memory_budget) {
            (Some(_), _) if !cold && !spill => Err(conflict(
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
