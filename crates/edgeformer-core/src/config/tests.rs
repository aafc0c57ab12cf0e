use std::collections::BTreeMap;

use figment::Jail;

use super::*;
use crate::{CacheFormat, EvictionPolicy, LatentForm, Result};

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
fn a_file_names_no_code_to_run() {
    Jail::expect_with(|jail| {
        for line in ["plugin = [\"/tmp/libx.so\"]", "plugin_dir = \"/tmp\""] {
            jail.create_file(FILE_NAME, line)?;
            let error = load(Overrides::new()).unwrap_err().to_string();
            assert!(error.contains("names code to run") && error.contains(FILE_NAME), "{error}");
        }
        jail.create_file(FILE_NAME, "")?;
        jail.set_env("EDGEFORMER_PLUGIN_DIR", "/opt/plugins");
        let config = load(Overrides::new()).unwrap();
        assert_eq!(config.plugin_dir, Some("/opt/plugins".into()));
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
#[allow(clippy::result_large_err, reason = "figment's test jail asks for its own error")]
fn values_with_a_form_of_their_own_come_from_everywhere() {
    Jail::expect_with(|jail| {
        jail.create_file(
            FILE_NAME,
            "window = 256\nmemory_budget = 1048576\ncache_cold = \"q4_0\"\ncache_budget = \"1 MiB\"\nmla = \"absorbed\"",
        )?;
        jail.set_env("EDGEFORMER_SINKS", "4");
        let config = load(Overrides::new()).unwrap();
        assert_eq!(config.window, Some(WindowSetting::Tokens(256)));
        assert_eq!(config.memory_budget, config.cache_budget);
        assert_eq!(config.sinks, Some(4));
        assert_eq!(config.mla, LatentForm::Absorbed);
        jail.set_env("EDGEFORMER_WINDOW", "64:128");
        jail.set_env("EDGEFORMER_MEMORY_BUDGET", "700MiB");
        let config = load(Overrides::new()).unwrap();
        assert_eq!(config.window, Some(WindowSetting::Adaptive { least: 64, most: 128 }));
        assert_eq!(config.memory_budget, Some(ByteSize(700 << 20)));
        jail.create_file(FILE_NAME, "evict = \"snapkv\"\nkeep = 128")?;
        let error = load(Overrides::new()).unwrap_err().to_string();
        assert!(error.contains("evict snapkv and window"), "{error}");
        Ok(())
    });
}

#[test]
#[allow(clippy::result_large_err, reason = "figment's test jail asks for its own error")]
fn values_of_the_wrong_form_are_told_on_one_line() {
    Jail::expect_with(|jail| {
        jail.set_env("EDGEFORMER_MEMORY_BUDGET", "lots");
        let error = load(Overrides::new()).unwrap_err().to_string();
        assert!(error.contains("memory_budget") && error.contains("700MiB"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        jail.set_env("EDGEFORMER_MEMORY_BUDGET", "1.5");
        let error = load(Overrides::new()).unwrap_err().to_string();
        assert!(error.contains("memory_budget") && error.contains("a size such as"), "{error}");
        Ok(())
    });
}

#[test]
fn evictions_have_the_names_of_the_command_line() {
    for policy in [EvictionPolicy::H2o, EvictionPolicy::SnapKv] {
        assert_eq!(policy.name().parse::<EvictionPolicy>().unwrap(), policy);
    }
    assert!("lru".parse::<EvictionPolicy>().unwrap_err().to_string().contains("snapkv"));
    for form in [LatentForm::Auto, LatentForm::Absorbed, LatentForm::Expanded] {
        assert_eq!(form.name().parse::<LatentForm>().unwrap(), form);
    }
}
