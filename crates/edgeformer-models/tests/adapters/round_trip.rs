//! What is written is what is read.

use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_gguf, write_peft};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{adapter, assert_same, embedded, linear, pair};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn adapters_come_back(chosen in prop::collection::vec((any::<bool>(), 1usize..9, -4.0f32..4.0), 8..40)) {
        let file = embedded();
        let graph = &file.model.graph;
        let names = linear(graph);
        let pairs = names.iter().zip(&chosen).filter(|(_, (is_chosen, ..))| *is_chosen);
        let made = adapter(pairs.map(|(name, &(_, rank, scale))| (name.to_string(), pair(graph, name, rank, scale))));
        prop_assume!(!made.pairs.is_empty());
        let temporary = TempDir::new().unwrap();

        let folder = temporary.path().join("peft");
        write_peft(&made, &file, &folder, &PeftOptions::default()).unwrap();
        let read = AdapterFile::open(&folder).unwrap().for_model(&file).unwrap();
        assert_same(&made, &read, 0.0);

        let gguf = temporary.path().join("lora.gguf");
        write_gguf(&made, &file, &gguf).unwrap();
        let read = AdapterFile::open(&gguf).unwrap().for_model(&file).unwrap();
        assert_same(&made, &read, 1e-6);
        file.model.with_adapter(&read).unwrap().graph.check().unwrap();
    }
}

#[test]
fn the_configuration_is_as_peft_has_it() {
    let file = embedded();
    let graph = &file.model.graph;
    let whole = linear(graph).into_iter().filter(|name| name.ends_with("attn_q.weight"));
    let pairs = whole.map(|name| (name.to_owned(), pair(graph, name, 4, 2.0)));
    let other = "blk.0.ffn_down.weight";
    let made = adapter(pairs.chain([(other.to_owned(), pair(graph, other, 2, 0.25))]));
    let temporary = TempDir::new().unwrap();
    let folder = temporary.path().join("peft");
    let options = PeftOptions { base_model: Some("someone/model".into()) };
    write_peft(&made, &file, &folder, &options).unwrap();
    let config = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    insta::assert_snapshot!(config, @r#"
    {
      "alpha_pattern": {
        "^model.layers.0.mlp.down_proj": 0.5
      },
      "base_model_name_or_path": "someone/model",
      "bias": "none",
      "fan_in_fan_out": false,
      "inference_mode": true,
      "init_lora_weights": true,
      "lora_alpha": 8,
      "lora_dropout": 0.0,
      "modules_to_save": null,
      "peft_type": "LORA",
      "r": 4,
      "rank_pattern": {
        "^model.layers.0.mlp.down_proj": 2
      },
      "revision": null,
      "target_modules": [
        "model.layers.0.mlp.down_proj",
        "q_proj"
      ],
      "task_type": "CAUSAL_LM",
      "use_dora": false,
      "use_rslora": false
    }
    "#);
    // A second one takes the place of the first.
    write_peft(&made, &file, &folder, &options).unwrap();
    let names: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
}
