//! Hugging Face folders of every family with ordinary attention: exact at full size, or refused.

use edgeformer_models::checkpoint::Checkpoint;
use edgeformer_quantize::attention::{Align, GqaOptions, MlaOptions, gqa, mla};

use crate::support::{checkpoint, difference};

/// Those that latent attention has a place for.
const LATENT: [&str; 3] = ["llama-gqa", "llama3-rope-scaling", "qwen2"];

/// Those that become groups only, and why.
const GROUPS_ONLY: [(&str, &str); 5] = [
    ("mistral-sliding-window", "sliding windows"),
    ("qwen3", "norms of queries and keys"),
    ("qwen3-moe", "norms of queries and keys"),
    ("gemma2", "is converted to groups only"),
    ("gemma3", "norms of queries and keys"),
];

fn folder(name: &str) -> Option<Checkpoint> {
    checkpoint(&format!("fixtures/hf/{name}"))
}

fn key_value_heads(model: &Checkpoint) -> usize {
    let key = format!("{}.attention.head_count_kv", model.architecture().unwrap());
    model.get(&key).unwrap().as_integer().unwrap().try_into().unwrap()
}

#[test]
fn full_latents_change_no_logit() {
    for name in LATENT {
        let Some(model) = folder(name) else { return };
        let (latent, report) = mla(&model, &MlaOptions::default(), None).unwrap();
        let difference = difference(&model, &latent);
        println!("{name}: {difference:.1e}");
        assert!(difference < 1e-4, "{name}: {difference}");
        assert!(report.cached_after <= report.cached_before, "{name}");
    }
}

#[test]
fn what_latents_have_no_place_for_is_refused() {
    for (name, why) in GROUPS_ONLY {
        let Some(model) = folder(name) else { return };
        let problem = mla(&model, &MlaOptions::default(), None).unwrap_err().to_string();
        assert!(problem.contains(why), "{name}: {problem}");
    }
}

#[test]
fn as_many_groups_as_heads_change_no_logit_and_one_runs() {
    for name in LATENT.into_iter().chain(GROUPS_ONLY.map(|(name, _)| name)) {
        let Some(model) = folder(name) else { return };
        let heads = key_value_heads(&model);
        for align in [Align::Plain, Align::Procrustes, Align::Principal] {
            let grouped = |groups| gqa(&model, &GqaOptions { groups, align }, None).unwrap();
            assert!(difference(&model, &grouped(heads).0) < 1e-4, "{name}, {align:?}");
            let (one, report) = grouped(1);
            assert!(difference(&model, &one).is_finite(), "{name}, {align:?}");
            assert_eq!(report.cached_before, heads * report.cached_after, "{name}");
        }
    }
}
