//! The memory budget: what is chosen, what is refused.

use edgeformer_conformance::shared;

use crate::support::{edgeformer, refusal, run, stdout};

fn plan(arguments: &[&str]) -> serde_json::Value {
    let all = [&["plan", "--json", "--explain"], arguments].concat();
    serde_json::from_str(&stdout(&all)).unwrap()
}

#[test]
fn every_candidate_is_listed_and_the_first_that_fits_is_chosen() {
    let plan = plan(&["--ctx-size", "128"]);
    let candidates = plan["candidates"].as_array().unwrap();
    assert!(candidates.len() > 5, "{candidates:?}");
    let chosen: Vec<_> = candidates.iter().filter(|one| one["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0]["chunk"], plan["session"]["chunk"]);
    assert_eq!(chosen[0]["total"], plan["total"]);
    assert!(plan["budget"]["source"].is_string());
    for key in ["cache_type_k", "cache_resident", "cache_spilled", "scratch", "fits"] {
        assert!(chosen[0].get(key).is_some(), "{key}");
    }
}

#[test]
fn a_tight_budget_takes_a_smaller_chunk() {
    let free = plan(&["--chunk", "512"]);
    let bytes = free["total"].as_u64().unwrap() - (1 << 20);
    let tight = plan(&["--memory-budget", &bytes.to_string()]);
    assert_eq!(tight["budget"]["source"], "named");
    assert_eq!(tight["fits"], true);
    assert!(tight["session"]["chunk"].as_u64().unwrap() < 512);
    assert!(tight["total"].as_u64().unwrap() <= bytes);
    let run = run(&["generate", "To be", "-n", "5", "--memory-budget", &bytes.to_string()]);
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success() && stderr.contains("memory is short: chunks of"), "{stderr}");
}

#[test]
fn latent_attention_reads_prompts_in_longer_chunks() {
    let Some(folder) = shared("fixtures/hf/deepseek-v2-mla") else { return };
    let model = ["--ctx-size", "2048", "--model", folder.to_str().unwrap()];
    let wide = plan(&model);
    assert_eq!(wide["session"]["chunk"], 1024);
    let bytes = (wide["total"].as_u64().unwrap() - 1).to_string();
    let tight = plan(&[&model[..], &["--memory-budget", &bytes]].concat());
    assert_eq!(tight["session"]["chunk"], 512);
    assert_eq!(plan(&["--ctx-size", "2048"])["session"]["chunk"], 512);
}

#[test]
fn the_budget_changes_no_text() {
    let write = |more: &[&str]| {
        stdout(
            &[&["generate", "To be", "-n", "60", "--temperature", "0", "--quiet"], more].concat(),
        )
    };
    assert_eq!(write(&["--memory-budget", "16MiB"]), write(&[]));
}

#[test]
fn plans_are_tables_for_people() {
    let table = stdout(&["plan", "--explain", "--ctx-size", "128", "--memory-budget", "1GiB"]);
    for told in ["memory budget 1024.0 MiB: as named", "as they are kept", "pages of 64", "* "] {
        assert!(table.contains(told), "{told}: {table}");
    }
    let short = stdout(&["plan", "--ctx-size", "128"]);
    assert!(!short.contains("memory budget"), "{short}");
    let full = stdout(&["plan", "--ctx-size", "100000", "--memory-budget", "13MiB"]);
    assert!(full.contains("does not fit") && full.contains("the longest context"), "{full}");
}

#[test]
fn what_cannot_fit_is_refused_before_loading() {
    let told = refusal(&["generate", "x", "--memory-budget", "1MiB", "--quiet"], 1);
    assert!(
        told.contains("memory budget of 1048576") && told.contains("--memory-budget"),
        "{told}"
    );
    let mut command = edgeformer(&["chat", "--quiet"]);
    let output = command.env("EDGEFORMER_MEMORY_BUDGET", "2MB").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("2000000"));
}

/// A prompt of about 1,200 tokens.
fn long_prompt() -> String {
    "To be or not to be, that is the question, my lord.\n".repeat(60)
}

#[test]
fn a_cache_that_does_not_fit_is_spilled_and_changes_no_text() {
    let prompt = long_prompt();
    let write = |more: &[&str]| -> serde_json::Value {
        let all = ["generate", &prompt, "-n", "40", "--temperature", "0", "--ctx-size", "4000"];
        let all = [&all[..], &["--chunk", "64", "--json", "--explain"], more].concat();
        serde_json::from_str(&stdout(&all)).unwrap()
    };
    let total = plan(&["--ctx-size", "4000", "--chunk", "64"])["total"].as_u64().unwrap();
    let budget = (total - (3 << 20)).to_string();
    let (free, tight) = (write(&[]), write(&["--memory-budget", &budget]));
    assert_eq!(tight["text"], free["text"]);
    let spilled = |answer: &serde_json::Value| answer["report"]["cache"]["bytes_spilled"].clone();
    assert_eq!(spilled(&free), 0);
    assert!(spilled(&tight).as_u64().unwrap() > 0, "{tight}");
    let resident = tight["report"]["cache"]["bytes_resident"].as_u64().unwrap();
    let chosen = plan(&["--ctx-size", "4000", "--chunk", "64", "--memory-budget", &budget]);
    assert!(resident <= chosen["session"]["tiers"]["budget"].as_u64().unwrap());
    assert!(chosen["candidates"].as_array().unwrap().iter().any(|candidate| {
        candidate["chosen"] == true && candidate["cache_spilled"].as_u64().unwrap() > 0
    }));
}
