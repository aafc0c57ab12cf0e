//! What Hugging Face calls the weights of a graph, one table a family.
//!
//! In the tables `N` stands for a layer, `E` for an expert and `*` for the prefix of the model
//! inside its task head, which some checkpoints leave out. Endings `.weight` and `.bias` carry
//! over where a row does not name them.

use crate::hyper::Family;

/// The names of a family.
pub(crate) struct Names {
    /// What `*` may be, the usual first.
    pub prefixes: &'static [&'static str],
    /// Graph name and Hugging Face name.
    pub table: &'static [(&'static str, &'static str)],
    /// Weights that the family's files hold as `[in, out]` (GPT-2's `Conv1D`).
    pub transposed: &'static [&'static str],
    /// Weights that hold the same numbers in another shape: convolutions, batches of one.
    pub reshaped: &'static [&'static str],
    /// Tensors that may be there and are not needed: `…` at an end matches the rest of a name.
    pub ignored: &'static [&'static str],
}

/// The names of a family.
pub(crate) fn names(family: Family) -> Names {
    match family {
        Family::Llama | Family::Mistral | Family::Qwen2 | Family::Qwen3 | Family::Qwen3Moe => LLAMA,
        Family::Gemma2 | Family::Gemma3 => GEMMA,
        Family::Phi3 => PHI3,
        Family::Gpt2 => GPT2,
        Family::DeepseekV2 | Family::DeepseekV3 => DEEPSEEK,
        Family::Bert => BERT,
        Family::Vit => VIT,
    }
}

const LLAMA: Names = Names {
    prefixes: &["model.", ""],
    table: &[
        ("token_embd", "*embed_tokens"),
        ("output_norm", "*norm"),
        ("output", "lm_head"),
        ("cls.output", "score"),
        ("blk.N.attn_norm", "*layers.N.input_layernorm"),
        ("blk.N.attn_q", "*layers.N.self_attn.q_proj"),
        ("blk.N.attn_k", "*layers.N.self_attn.k_proj"),
        ("blk.N.attn_v", "*layers.N.self_attn.v_proj"),
        ("blk.N.attn_q_norm", "*layers.N.self_attn.q_norm"),
        ("blk.N.attn_k_norm", "*layers.N.self_attn.k_norm"),
        ("blk.N.attn_output", "*layers.N.self_attn.o_proj"),
        ("blk.N.ffn_norm", "*layers.N.post_attention_layernorm"),
        ("blk.N.ffn_gate", "*layers.N.mlp.gate_proj"),
        ("blk.N.ffn_up", "*layers.N.mlp.up_proj"),
        ("blk.N.ffn_down", "*layers.N.mlp.down_proj"),
        ("blk.N.ffn_gate_inp", "*layers.N.mlp.gate"),
        ("blk.N.ffn_gate_exps", "*layers.N.mlp.experts.E.gate_proj"),
        ("blk.N.ffn_up_exps", "*layers.N.mlp.experts.E.up_proj"),
        ("blk.N.ffn_down_exps", "*layers.N.mlp.experts.E.down_proj"),
    ],
    transposed: &[],
    reshaped: &[],
    ignored: &["….rotary_emb.inv_freq"],
};

/// Gemma norms both sides of each half, and its second norm is not Llama's second norm.
const GEMMA: Names = Names {
    prefixes: &["model.", "language_model.model.", "model.language_model.", ""],
    table: &[
        ("token_embd", "*embed_tokens"),
        ("output_norm", "*norm"),
        ("output", "lm_head"),
        ("cls.output", "score"),
        ("blk.N.attn_norm", "*layers.N.input_layernorm"),
        ("blk.N.attn_q", "*layers.N.self_attn.q_proj"),
        ("blk.N.attn_k", "*layers.N.self_attn.k_proj"),
        ("blk.N.attn_v", "*layers.N.self_attn.v_proj"),
        ("blk.N.attn_q_norm", "*layers.N.self_attn.q_norm"),
        ("blk.N.attn_k_norm", "*layers.N.self_attn.k_norm"),
        ("blk.N.attn_output", "*layers.N.self_attn.o_proj"),
        ("blk.N.post_attention_norm", "*layers.N.post_attention_layernorm"),
        ("blk.N.ffn_norm", "*layers.N.pre_feedforward_layernorm"),
        ("blk.N.ffn_gate", "*layers.N.mlp.gate_proj"),
        ("blk.N.ffn_up", "*layers.N.mlp.up_proj"),
        ("blk.N.ffn_down", "*layers.N.mlp.down_proj"),
        ("blk.N.post_ffw_norm", "*layers.N.post_feedforward_layernorm"),
    ],
    transposed: &[],
    reshaped: &[],
    ignored: &[
        "….rotary_emb.inv_freq",
        "vision_tower.…",
        "multi_modal_projector.…",
        "model.vision_tower.…",
        "model.multi_modal_projector.…",
    ],
};

const PHI3: Names = Names {
    prefixes: &["model.", ""],
    table: &[
        ("token_embd", "*embed_tokens"),
        ("output_norm", "*norm"),
        ("output", "lm_head"),
        ("cls.output", "score"),
        ("blk.N.attn_norm", "*layers.N.input_layernorm"),
        ("blk.N.attn_qkv", "*layers.N.self_attn.qkv_proj"),
        ("blk.N.attn_output", "*layers.N.self_attn.o_proj"),
        ("blk.N.ffn_norm", "*layers.N.post_attention_layernorm"),
        ("blk.N.ffn_up", "*layers.N.mlp.gate_up_proj"),
        ("blk.N.ffn_down", "*layers.N.mlp.down_proj"),
    ],
    transposed: &[],
    reshaped: &[],
    ignored: &["….rotary_emb.inv_freq"],
};

const GPT2: Names = Names {
    prefixes: &["transformer.", ""],
    table: &[
        ("token_embd", "*wte"),
        ("position_embd", "*wpe"),
        ("output_norm", "*ln_f"),
        ("output", "lm_head"),
        ("cls.output", "score"),
        ("blk.N.attn_norm", "*h.N.ln_1"),
        ("blk.N.attn_qkv", "*h.N.attn.c_attn"),
        ("blk.N.attn_output", "*h.N.attn.c_proj"),
        ("blk.N.ffn_norm", "*h.N.ln_2"),
        ("blk.N.ffn_up", "*h.N.mlp.c_fc"),
        ("blk.N.ffn_down", "*h.N.mlp.c_proj"),
    ],
    transposed: &[
        "blk.N.attn_qkv.weight",
        "blk.N.attn_output.weight",
        "blk.N.ffn_up.weight",
        "blk.N.ffn_down.weight",
    ],
    reshaped: &[],
    ignored: &["….attn.bias", "….attn.masked_bias"],
};

const DEEPSEEK: Names = Names {
    prefixes: &["model.", ""],
    table: &[
        ("token_embd", "*embed_tokens"),
        ("output_norm", "*norm"),
        ("output", "lm_head"),
        ("cls.output", "score"),
        ("blk.N.attn_norm", "*layers.N.input_layernorm"),
        ("blk.N.attn_q", "*layers.N.self_attn.q_proj"),
        ("blk.N.attn_q_a", "*layers.N.self_attn.q_a_proj"),
        ("blk.N.attn_q_a_norm", "*layers.N.self_attn.q_a_layernorm"),
        ("blk.N.attn_q_b", "*layers.N.self_attn.q_b_proj"),
        ("blk.N.attn_kv_a_mqa", "*layers.N.self_attn.kv_a_proj_with_mqa"),
        ("blk.N.attn_kv_a_norm", "*layers.N.self_attn.kv_a_layernorm"),
        ("blk.N.attn_kv_b", "*layers.N.self_attn.kv_b_proj"),
        ("blk.N.attn_output", "*layers.N.self_attn.o_proj"),
        ("blk.N.ffn_norm", "*layers.N.post_attention_layernorm"),
        ("blk.N.ffn_gate", "*layers.N.mlp.gate_proj"),
        ("blk.N.ffn_up", "*layers.N.mlp.up_proj"),
        ("blk.N.ffn_down", "*layers.N.mlp.down_proj"),
        ("blk.N.ffn_gate_inp", "*layers.N.mlp.gate"),
        ("blk.N.exp_probs_b.bias", "*layers.N.mlp.gate.e_score_correction_bias"),
        ("blk.N.ffn_gate_exps", "*layers.N.mlp.experts.E.gate_proj"),
        ("blk.N.ffn_up_exps", "*layers.N.mlp.experts.E.up_proj"),
        ("blk.N.ffn_down_exps", "*layers.N.mlp.experts.E.down_proj"),
        ("blk.N.ffn_gate_shexp", "*layers.N.mlp.shared_experts.gate_proj"),
        ("blk.N.ffn_up_shexp", "*layers.N.mlp.shared_experts.up_proj"),
        ("blk.N.ffn_down_shexp", "*layers.N.mlp.shared_experts.down_proj"),
    ],
    transposed: &[],
    reshaped: &[],
    ignored: &["….rotary_emb.inv_freq"],
};

const BERT: Names = Names {
    prefixes: &["", "bert."],
    table: &[
        ("token_embd", "*embeddings.word_embeddings"),
        ("position_embd", "*embeddings.position_embeddings"),
        ("token_types", "*embeddings.token_type_embeddings"),
        ("token_embd_norm", "*embeddings.LayerNorm"),
        ("blk.N.attn_q", "*encoder.layer.N.attention.self.query"),
        ("blk.N.attn_k", "*encoder.layer.N.attention.self.key"),
        ("blk.N.attn_v", "*encoder.layer.N.attention.self.value"),
        ("blk.N.attn_output", "*encoder.layer.N.attention.output.dense"),
        ("blk.N.attn_output_norm", "*encoder.layer.N.attention.output.LayerNorm"),
        ("blk.N.ffn_up", "*encoder.layer.N.intermediate.dense"),
        ("blk.N.ffn_down", "*encoder.layer.N.output.dense"),
        ("blk.N.layer_output_norm", "*encoder.layer.N.output.LayerNorm"),
        ("cls", "*pooler.dense"),
        ("cls.output", "classifier"),
    ],
    transposed: &[],
    reshaped: &[],
    ignored: &[
        "….position_ids",
        "pooler.…",
        "bert.pooler.…",
        "cls.…",
        "classifier.…",
        "qa_outputs.…",
    ],
};

const VIT: Names = Names {
    prefixes: &["vit.", ""],
    table: &[
        ("v.patch_embd", "*embeddings.patch_embeddings.projection"),
        ("v.class_embd", "*embeddings.cls_token"),
        ("v.position_embd.weight", "*embeddings.position_embeddings"),
        ("v.blk.N.ln1", "*encoder.layer.N.layernorm_before"),
        ("v.blk.N.attn_q", "*encoder.layer.N.attention.attention.query"),
        ("v.blk.N.attn_k", "*encoder.layer.N.attention.attention.key"),
        ("v.blk.N.attn_v", "*encoder.layer.N.attention.attention.value"),
        ("v.blk.N.attn_out", "*encoder.layer.N.attention.output.dense"),
        ("v.blk.N.ln2", "*encoder.layer.N.layernorm_after"),
        ("v.blk.N.ffn_up", "*encoder.layer.N.intermediate.dense"),
        ("v.blk.N.ffn_down", "*encoder.layer.N.output.dense"),
        ("v.post_ln", "*layernorm"),
        ("cls.output", "classifier"),
    ],
    transposed: &[],
    reshaped: &["v.patch_embd.weight", "v.class_embd", "v.position_embd.weight"],
    ignored: &["pooler.…", "vit.pooler.…", "embeddings.mask_token", "vit.embeddings.mask_token"],
};

impl Names {
    /// What a checkpoint whose model stands under `prefix` calls a weight of the graph; `E` is
    /// left in the names of experts. `None` if the table does not know the weight.
    pub fn of(&self, graph_name: &str, prefix: &str) -> Option<String> {
        let (pattern, layer) = without_layer(graph_name);
        let whole = self.table.iter().find(|(graph, _)| *graph == pattern);
        let (name, ending) = match whole {
            Some((_, name)) => (*name, ""),
            None => {
                let stem_end = pattern.rfind('.')?;
                let (stem, ending) = pattern.split_at(stem_end);
                (self.table.iter().find(|(graph, _)| *graph == stem)?.1, ending)
            }
        };
        let name = name.replacen('*', prefix, 1);
        let name =
            layer.map_or(name.clone(), |layer| name.replacen(".N.", &format!(".{layer}."), 1));
        Some(name + ending)
    }

    /// The weight of the graph that is a module's, and which expert of it: [`Names::of`] undone,
    /// under whatever prefix.
    pub fn weight_of_module(&self, module: &str) -> Option<(String, Option<usize>)> {
        let pairs =
            self.prefixes.iter().flat_map(|prefix| self.table.iter().map(move |row| (prefix, row)));
        pairs.into_iter().find_map(|(prefix, (graph, name))| {
            let (layer, expert) = numbers(&name.replacen('*', prefix, 1), module)?;
            let name = layer.map_or_else(
                || (*graph).to_owned(),
                |layer| graph.replacen(".N.", &format!(".{layer}."), 1),
            );
            Some((name + ".weight", expert))
        })
    }

    /// Whether a weight of the graph is among `list`.
    pub fn listed(list: &[&str], graph_name: &str) -> bool {
        let (pattern, _) = without_layer(graph_name);
        list.contains(&pattern.as_str())
    }

    /// Whether a tensor of a file may be left alone.
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|pattern| {
            match (pattern.strip_prefix('…'), pattern.strip_suffix('…')) {
                (Some(end), _) => name.ends_with(end),
                (_, Some(start)) => name.starts_with(start),
                (None, None) => name == *pattern,
            }
        })
    }
}

/// The layer and the expert that stand in `name` for the `N` and the `E` of a pattern; `None` where
/// it is another name.
fn numbers(pattern: &str, name: &str) -> Option<(Option<usize>, Option<usize>)> {
    let (mut layer, mut expert) = (None, None);
    let (mut expected, mut found) = (pattern.split('.'), name.split('.'));
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Some((layer, expert)),
            (Some("N"), Some(number)) => layer = Some(canonical(number)?),
            (Some("E"), Some(number)) => expert = Some(canonical(number)?),
            (Some(part), Some(other)) if part == other => {}
            _ => return None,
        }
    }
}

/// A number as it is written in names: no sign, no zeros before it.
fn canonical(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

/// `blk.3.attn_q.weight` as `blk.N.attn_q.weight` and its layer.
fn without_layer(name: &str) -> (String, Option<usize>) {
    let mut layer = None;
    let parts: Vec<&str> = name
        .split('.')
        .map(|part| match part.parse() {
            Ok(number) if layer.is_none() => {
                layer = Some(number);
                "N"
            }
            _ => part,
        })
        .collect();
    (parts.join("."), layer)
}
