use std::collections::HashSet;

use super::super::names::names;
use super::configs;
use crate::families;

/// Every family, and its classifiers.
fn every() -> Vec<(String, serde_json::Value)> {
    let plain = configs::all().into_iter().map(|(name, config)| (name.to_owned(), config));
    plain.chain(configs::classifiers()).collect()
}

/// Every weight of every family's graph has a Hugging Face name of its own.
#[test]
fn every_weight_has_its_own_name() {
    for (family, config) in every() {
        let hyper = configs::hyper(&config).unwrap();
        let names = names(hyper.family());
        let graph = families::graph(&hyper).unwrap();
        let found: HashSet<String> = graph
            .weights
            .iter()
            .map(|info| {
                let name = names.of(&info.name, names.prefixes[0]);
                name.unwrap_or_else(|| panic!("{family}: {} has no name", info.name))
            })
            .collect();
        assert_eq!(found.len(), graph.weights.len(), "{family}");
    }
}

/// A module's name leads back to the weight, under every prefix.
#[test]
fn modules_lead_back_to_their_weights() {
    for (family, config) in every() {
        let hyper = configs::hyper(&config).unwrap();
        let names = names(hyper.family());
        let graph = families::graph(&hyper).unwrap();
        for info in graph.weights.iter().filter(|info| info.name.ends_with(".weight")) {
            for prefix in names.prefixes {
                let name = names.of(&info.name, prefix).unwrap();
                let Some(module) = name.strip_suffix(".weight") else { continue };
                let expert = module.contains(".E.").then_some(3);
                let found = names.weight_of_module(&module.replace(".E.", ".3."));
                assert_eq!(found, Some((info.name.clone(), expert)), "{family}: {module}");
            }
        }
        for wrong in ["", "x", "model.layers.01.self_attn.q_proj", "model.layers.N.mlp.gate_proj"] {
            assert_eq!(names.weight_of_module(wrong), None, "{family}: {wrong}");
        }
    }
}

#[test]
fn layers_experts_prefixes_and_endings_carry_over() {
    let name = |family: &str, weight: &str, prefix: usize| {
        let (_, config) = configs::all().into_iter().find(|(name, _)| *name == family).unwrap();
        let names = names(configs::hyper(&config).unwrap().family());
        names.of(weight, names.prefixes[prefix]).unwrap()
    };
    assert_eq!(name("qwen2", "blk.17.attn_q.bias", 0), "model.layers.17.self_attn.q_proj.bias");
    assert_eq!(
        name("deepseek-v3", "blk.1.exp_probs_b.bias", 0),
        "model.layers.1.mlp.gate.e_score_correction_bias"
    );
    assert_eq!(
        name("qwen3-moe", "blk.1.ffn_up_exps.weight", 0),
        "model.layers.1.mlp.experts.E.up_proj.weight"
    );
    assert_eq!(
        name("bert", "token_types.weight", 1),
        "bert.embeddings.token_type_embeddings.weight"
    );
    assert_eq!(name("vit", "v.class_embd", 0), "vit.embeddings.cls_token");
    assert_eq!(name("gpt2", "output_norm.bias", 1), "ln_f.bias");
}

#[test]
fn known_leftovers_are_ignored_and_others_are_not() {
    let bert = names(crate::hyper::Family::Bert);
    assert!(bert.ignores("bert.pooler.dense.weight"));
    assert!(bert.ignores("bert.embeddings.position_ids"));
    assert!(!bert.ignores("bert.encoder.layer.9.output.dense.weight"));
    let gpt2 = names(crate::hyper::Family::Gpt2);
    assert!(gpt2.ignores("h.3.attn.masked_bias") && gpt2.ignores("h.3.attn.bias"));
    assert!(!gpt2.ignores("h.3.attn.c_attn.bias"));
}
