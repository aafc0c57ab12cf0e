//! A folder, written.

use std::path::Path;

use edgeformer_core::graph::Op;
use edgeformer_core::{Adapter, Format, Graph, LowRank, Tensor};
use serde_json::{Map, Value, json};

use super::{CONFIG, PREFIX, TENSORS};
use crate::adapter::{Layout, place};
use crate::atomic::write_folder_atomically;
use crate::checkpoint::module_prefix;
use crate::hf_config::names;
use crate::hyper::{Family, Hyper};
use crate::open::ModelFile;
use crate::safetensors::write_for_torch;
use crate::{Error, Result};

/// What a folder says that its numbers do not.
#[derive(Debug, Clone, Default)]
pub struct PeftOptions {
    /// The model that the adapter is for, as Python would find it: a folder, or a name at
    /// Hugging Face.
    pub base_model: Option<String>,
}

/// A pair under its module's name.
struct Module<'a> {
    name: String,
    pair: &'a LowRank,
}

/// Writes an adapter of an open model as a folder that `peft` loads. It appears whole; a folder of
/// an adapter that was there is replaced.
///
/// # Errors
/// If the model's family has no modules for its weights, `to` holds something else, or writing
/// fails.
pub fn write_peft(
    adapter: &Adapter,
    file: &ModelFile,
    to: &Path,
    options: &PeftOptions,
) -> Result<()> {
    let placed = place::to_layout(adapter, &file.hyper, Layout::of(file), Layout::HuggingFace)
        .map_err(|source| Error::Core { path: to.into(), source })?;
    let modules = modules(&placed, &file.hyper, to)?;
    let config = config(&modules, file, options);
    let tensors = modules.iter().flat_map(tensors).collect::<edgeformer_core::Result<Vec<_>>>();
    let tensors = tensors.map_err(|source| Error::Core { path: to.into(), source })?;
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_folder_atomically(to, |folder| {
        let path = folder.join(CONFIG);
        std::fs::write(&path, format!("{config:#}\n"))
            .map_err(|source| Error::io(&path, source))?;
        write_for_torch(&folder.join(TENSORS), &named)
    })
}

fn modules<'a>(adapter: &'a Adapter, hyper: &Hyper, to: &Path) -> Result<Vec<Module<'a>>> {
    let module = |(weight, pair): (&String, &'a LowRank)| {
        let name = module_of(hyper, weight).filter(|_| pair.a.shape().len() == 2);
        let name = name.ok_or_else(|| {
            let problem = "is no module that peft adapts: write the adapter as a GGUF file";
            Error::Core { path: to.into(), source: adapter.error(weight, problem) }
        })?;
        Ok(Module { name, pair })
    };
    adapter.pairs.iter().map(module).collect()
}

/// What Hugging Face calls the module of a weight.
fn module_of(hyper: &Hyper, weight: &str) -> Option<String> {
    let names = names(hyper.family());
    let name = names.of(weight, module_prefix(hyper, &names))?;
    Some(name.strip_suffix(".weight")?.to_owned())
}

/// Both matrices of a module; quantized ones become f32.
fn tensors(module: &Module<'_>) -> [edgeformer_core::Result<(String, Tensor)>; 2] {
    let float = |tensor: &Tensor| match tensor.format() {
        Format::F32 | Format::F16 | Format::BF16 => Ok(tensor.clone()),
        _ => Tensor::from_f32(tensor.shape(), &tensor.to_f32()),
    };
    [("lora_A", &module.pair.a), ("lora_B", &module.pair.b)].map(|(matrix, tensor)| {
        Ok((format!("{PREFIX}{}.{matrix}.weight", module.name), float(tensor)?))
    })
}

fn config(modules: &[Module<'_>], file: &ModelFile, options: &PeftOptions) -> Value {
    let alpha = |pair: &LowRank| f64::from(pair.scale) * pair.rank() as f64;
    let (rank, usual) = modules.first().map_or((1, 1.0), |it| (it.pair.rank(), alpha(it.pair)));
    // A key is a whole name, anchored: no other module's ends in it.
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for Module { name, pair } in modules {
        if pair.rank() != rank {
            ranks.insert(format!("^{name}"), pair.rank().into());
        }
        if alpha(pair) != usual {
            alphas.insert(format!("^{name}"), number(alpha(pair)));
        }
    }
    let task = match &file.hyper {
        Hyper::Decoder(_) | Hyper::Encoder(_) if file.hyper.classes().is_some() => json!("SEQ_CLS"),
        Hyper::Decoder(_) => json!("CAUSAL_LM"),
        Hyper::Encoder(_) => json!("FEATURE_EXTRACTION"),
        Hyper::Vision(_) => Value::Null,
    };
    json!({
        "alpha_pattern": alphas,
        "base_model_name_or_path": options.base_model,
        "bias": "none",
        // Conv1D, which GPT-2 has for linear layers.
        "fan_in_fan_out": file.hyper.family() == Family::Gpt2,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": number(usual),
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": rank,
        "rank_pattern": ranks,
        "revision": null,
        "target_modules": targets(modules, &file.hyper, &file.model.graph),
        "task_type": task,
        "use_dora": false,
        "use_rslora": false,
    })
}

/// A whole number as people write it.
fn number(value: f64) -> Value {
    let is_whole = value.fract() == 0.0 && value.abs() < 1e15;
    if is_whole { Value::from(value as i64) } else { Value::from(value) }
}

/// The modules that are adapted: by the ends of their names, where all that end so are; else each.
fn targets(modules: &[Module<'_>], hyper: &Hyper, graph: &Graph) -> Vec<String> {
    let end = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let linear = graph.nodes.iter().filter_map(|node| match node.op {
        Op::Linear { weight, .. } => module_of(hyper, &graph.weight(weight).name),
        _ => None,
    });
    let others: Vec<String> =
        linear.filter(|name| modules.iter().all(|module| module.name != *name)).collect();
    let is_whole = |name: &str| others.iter().all(|other| end(other) != end(name));
    let has_experts = graph.nodes.iter().any(|node| matches!(node.op, Op::Experts(_)));
    let mut targets: Vec<String> = modules
        .iter()
        .map(|module| match is_whole(&module.name) && !has_experts {
            true => end(&module.name),
            false => module.name.clone(),
        })
        .collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}
