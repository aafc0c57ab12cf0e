//! Adapters that are none, or those of another model: one line each that says what and where.

use std::fs;
use std::path::Path;

use edgeformer_core::Tensor;
use edgeformer_models::adapter::{AdapterFile, PeftOptions, write_peft};
use edgeformer_models::gguf::GgufWriter;
use edgeformer_models::safetensors::write_safetensors;
use tempfile::TempDir;

use super::{adapter, embedded, matrix, pair};

const CONFIG: &str = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4}"#;
const Q: &str = "base_model.model.model.layers.0.self_attn.q_proj";

/// What is said of a folder with that configuration and those tensors; paths left out.
fn told(config: &str, tensors: &[(&str, Tensor)]) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("adapter_config.json"), config).unwrap();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    write_safetensors(&folder.path().join("adapter_model.safetensors"), &tensors).unwrap();
    refused(folder.path(), folder.path())
}

fn refused(path: &Path, folder: &Path) -> String {
    let file = embedded();
    let adapter = AdapterFile::open(path).and_then(|opened| opened.for_model(&file));
    let told = match adapter {
        Ok(adapter) => file.model.with_adapter(&adapter).map(|_| ()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(!told.contains('\n'), "{told}");
    told.replace(&*folder.to_string_lossy(), "FOLDER")
}

#[test]
fn folders() {
    let file = embedded();
    let q = pair(&file.model.graph, "blk.0.attn_q.weight", 2, 1.0);
    let (a, b) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    let all = [
        told(CONFIG, &[]),
        told(CONFIG, &[(&a, q.a.clone())]),
        told(CONFIG, &[(&b, q.b.clone())]),
        told(&CONFIG.replace("\"r\": 2", "\"r\": 4"), &[(&a, q.a.clone()), (&b, q.b.clone())]),
        told(CONFIG, &[(&a, q.a.clone()), (&b, matrix([q.b.shape()[0], 3], 0))]),
        told(CONFIG, &[(&a, matrix([2, 24], 0)), (&b, q.b.clone())]),
        told(CONFIG, &[(&a.replace("0", "99"), q.a.clone()), (&b.replace("0", "99"), q.b.clone())]),
        told(
            CONFIG,
            &[
                (&a.replace("q_proj", "query"), q.a.clone()),
                (&b.replace("q_proj", "query"), q.b.clone()),
            ],
        ),
        told(CONFIG, &[(&format!("{Q}.lora_magnitude_vector"), q.a.clone())]),
        told(CONFIG, &[("model.layers.0.self_attn.q_proj.lora_A.weight", q.a.clone())]),
        told(&CONFIG.replace("LORA", "IA3"), &[]),
        told(&CONFIG.replace("}", ", \"use_dora\": true}"), &[]),
        told("[]", &[]),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    FOLDER: tensors: there is none: get the adapter again
    FOLDER/adapter_model.safetensors: module "model.layers.0.self_attn.q_proj": its lora_B is missing: get the file again
    FOLDER/adapter_model.safetensors: module "model.layers.0.self_attn.q_proj": its lora_A is missing: get the file again
    FOLDER/adapter_model.safetensors: module "model.layers.0.self_attn.q_proj": lora_A has rank 2 and lora_B 2, adapter_config.json makes it 4: one of the files is another adapter's
    FOLDER/adapter_model.safetensors: module "model.layers.0.self_attn.q_proj": lora_A has rank 2 and lora_B 3, adapter_config.json makes it 2: one of the files is another adapter's
    adapter FOLDER: weight "blk.0.attn_q.weight": it is for a weight of shape [192, 24], the model's is [192, 192]: it belongs to another model
    adapter FOLDER: weight "blk.99.attn_q.weight": the model has no such weight: the adapter belongs to another
    FOLDER: weight "model.layers.0.self_attn.query": is no module of llama models: it belongs to another
    FOLDER/adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector": is no lora_A or lora_B of a module of base_model.model: trained weights besides them are not read, merge the adapter with peft
    FOLDER/adapter_model.safetensors: tensor "model.layers.0.self_attn.q_proj.lora_A.weight": is no lora_A or lora_B of a module of base_model.model: trained weights besides them are not read, merge the adapter with peft
    FOLDER/adapter_config.json: key "peft_type": is "IA3", LORA alone is read
    FOLDER/adapter_config.json: key "use_dora": asks for DoRA, which is not read: merge it with peft
    FOLDER/adapter_config.json: line 1, column 0: is no JSON object (invalid type: sequence, expected a map at line 1 column 0): fetch the file again
    "#);
}

#[test]
fn paths() {
    let folder = TempDir::new().unwrap();
    let nothing = refused(folder.path(), folder.path());
    fs::write(folder.path().join("adapter_config.json"), CONFIG).unwrap();
    let no_tensors = refused(folder.path(), folder.path());
    let absent = refused(&folder.path().join("absent"), folder.path());
    insta::assert_snapshot!([nothing, no_tensors, absent].join("\n"), @"
    FOLDER: folder: holds no adapter_config.json: name a folder of peft, or a GGUF file
    FOLDER: folder: holds no adapter_model.safetensors: save the adapter in this format
    FOLDER/absent: No such file or directory (os error 2)
    ");
}

#[test]
fn files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lora.gguf");
    let q = pair(&embedded().model.graph, "blk.0.attn_q.weight", 2, 1.0);
    let keys = ["general.type", "adapter.type", "general.architecture"];
    let told = |values: [&str; 3], tensors: &[(&str, &Tensor)]| {
        let mut writer = GgufWriter::new();
        for (key, value) in keys.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            writer.metadata(*key, value.to_owned());
        }
        for (name, tensor) in tensors {
            writer.tensor(*name, tensor);
        }
        writer.write_file(&path).unwrap();
        refused(&path, folder.path())
    };
    let usual = ["adapter", "lora", "llama"];
    let both = [("blk.0.attn_q.weight.lora_a", &q.a), ("blk.0.attn_q.weight.lora_b", &q.b)];
    let wrong = matrix([q.b.shape()[0], 3], 0);
    let all = [
        told(usual, &[]),
        told(["model", "lora", "llama"], &both),
        told(["", "lora", "llama"], &both),
        told(["adapter", "control_vector", "llama"], &both),
        told(["adapter", "lora", "gemma2"], &both),
        told(usual, &both[..1]),
        told(usual, &both[1..]),
        told(usual, &[both[0], ("blk.0.attn_q.weight.lora_b", &wrong)]),
        told(usual, &[both[0], both[1], ("blk.0.attn_norm.weight", &q.a)]),
        told(
            usual,
            &[("blk.0.nothing.weight.lora_a", &q.a), ("blk.0.nothing.weight.lora_b", &q.b)],
        ),
        told(usual, &[("token_embd.weight.lora_a", &q.b), ("token_embd.weight.lora_b", &q.b)]),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    FOLDER/lora.gguf: tensors: there is none: get the adapter again
    FOLDER/lora.gguf: key "general.type": is "model", that of an adapter is adapter: name an adapter's file
    FOLDER/lora.gguf: key "general.type": is missing, that of an adapter is adapter: name an adapter's file
    FOLDER/lora.gguf: key "adapter.type": is "control_vector", that of an adapter is lora: name an adapter's file
    FOLDER/lora.gguf: key "general.architecture": is "gemma2", the model's is llama: it belongs to another model
    FOLDER/lora.gguf: weight "blk.0.attn_q.weight": its lora_b is missing: get the file again
    FOLDER/lora.gguf: weight "blk.0.attn_q.weight": its lora_a is missing: get the file again
    FOLDER/lora.gguf: weight "blk.0.attn_q.weight": A has shape [2, 192] and B [192, 3], their ranks must be one: get the adapter again
    FOLDER/lora.gguf: tensor "blk.0.attn_norm.weight": is no lora_a or lora_b: trained weights besides them are not read
    adapter FOLDER/lora.gguf: weight "blk.0.nothing.weight": the model has no such weight: the adapter belongs to another
    adapter FOLDER/lora.gguf: weight "token_embd.weight": it is for a weight of shape [192, 192], the model's is [896, 192]: it belongs to another model
    "#);
}

#[test]
fn a_folder_of_something_else_is_not_replaced() {
    let file = embedded();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "precious").unwrap();
    let q = "blk.0.attn_q.weight";
    let made = adapter([(q.to_owned(), pair(&file.model.graph, q, 2, 1.0))]);
    let error = write_peft(&made, &file, folder.path(), &PeftOptions::default()).unwrap_err();
    assert!(error.to_string().contains("is not replaced"), "{error}");
    assert!(folder.path().join("thesis.txt").exists());
}
