use super::*;

const LLAMA: ModelFacts<'_> = ModelFacts {
    architecture: "llama",
    layers: 16,
    gqa: 4,
    experts: 0,
    has_output: false,
    has_importance: false,
};

const PARTS: [&str; 7] =
    ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// Every part's formats, equal ones of neighbouring layers together.
fn summary(mixture: Mixture, model: &ModelFacts<'_>, width: usize) -> String {
    let format = |name: &str| match mixture.assign(name, &[1024, width], model) {
        Some(Assignment { format, instead_of: Some(wanted) }) => format!("{format} (not {wanted})"),
        Some(Assignment { format, .. }) => format.to_string(),
        None => "kept".into(),
    };
    let mut lines = vec![format!("{mixture}: vocabulary {}", format("token_embd.weight"))];
    if model.has_output {
        lines.push(format!("  output {}", format("output.weight")));
    }
    for part in PARTS {
        let mut runs: Vec<(String, Vec<String>)> = Vec::new();
        for layer in 0..model.layers {
            let format = format(&format!("blk.{layer}.{part}.weight"));
            match runs.iter_mut().find(|(held, _)| *held == format) {
                Some((_, layers)) => layers.push(layer.to_string()),
                None => runs.push((format, vec![layer.to_string()])),
            }
        }
        let [(format, _)] = runs.as_slice() else {
            let runs = runs.iter().map(|(format, layers)| format!("{format} {}", layers.join(",")));
            lines.push(format!("  {part} {}", runs.collect::<Vec<_>>().join(" | ")));
            continue;
        };
        if *format != mixture.base().to_string() {
            lines.push(format!("  {part} {format}"));
        }
    }
    lines.join("\n")
}

fn summaries(model: &ModelFacts<'_>, width: usize) -> String {
    let quantized = Mixture::ALL.into_iter().filter(|mixture| !mixture.base().is_float());
    quantized.map(|mixture| summary(mixture, model, width)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_llama_of_16_layers() {
    insta::assert_snapshot!(summaries(&LLAMA, 2048));
}

#[test]
fn a_narrow_model_with_an_output_matrix() {
    let model = ModelFacts { has_output: true, gqa: 3, layers: 4, ..LLAMA };
    insta::assert_snapshot!(summaries(&model, 576));
}

#[test]
fn a_mixture_of_eight_experts_with_importance() {
    let model = ModelFacts { experts: 8, has_importance: true, has_output: true, ..LLAMA };
    insta::assert_snapshot!(summaries(&model, 4096));
}

#[test]
fn what_is_not_a_matrix_of_weights_stays() {
    let kept = |name: &str, shape: &[usize]| Mixture::Q4KM.assign(name, shape, &LLAMA).is_none();
    assert!(kept("output_norm.weight", &[2048]));
    assert!(kept("blk.0.attn_q_norm.weight", &[8, 128]));
    assert!(kept("blk.0.attn_q.bias", &[2048]));
    assert!(kept("blk.3.ffn_gate_inp.weight", &[8, 2048]));
    assert!(kept("position_embd.weight", &[1024, 768]));
    assert!(kept("token_types.weight", &[2, 768]));
    assert!(kept("v.patch_embd.weight", &[768, 3, 16, 16]));
    assert!(!kept("blk.0.ffn_down_exps.weight", &[8, 2048, 512]));
    assert!(!kept("blk.0.attn_q.weight", &[2048, 2048]));
}

#[test]
fn rows_of_no_blocks_become_halves() {
    let odd = Mixture::Q4KM.assign("blk.0.attn_q.weight", &[64, 100], &LLAMA).unwrap();
    assert_eq!(odd, Assignment { format: Format::F16, instead_of: Some(Format::Q4K) });
    let odd = Mixture::Q8_0.assign("token_embd.weight", &[64, 100], &LLAMA).unwrap();
    assert_eq!(odd, Assignment { format: Format::F16, instead_of: Some(Format::Q8_0) });
}

#[test]
fn names_are_read_back() {
    for mixture in Mixture::ALL {
        assert_eq!(mixture.name().to_uppercase().parse::<Mixture>().unwrap(), mixture);
    }
    assert_eq!("Q4_K".parse::<Mixture>().unwrap(), Mixture::Q4KM);
    insta::assert_snapshot!("q9".parse::<Mixture>().unwrap_err(), @r#"unknown mixture "q9", known are f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s, q5_k_m, q6_k, iq4_nl, iq4_xs"#);
}
