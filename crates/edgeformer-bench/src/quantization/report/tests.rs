use edgeformer_core::Format;

use super::*;
use crate::quantization::Limits;

impl Figures {
    /// Figures for tests.
    pub(crate) fn made_up() -> Self {
        Self {
            bytes: 1100,
            tensor_bytes: 1000,
            bits_per_weight: 4.5,
            perplexity: 4.04,
            perplexity_ratio: 1.01,
            kl_mean: 0.01,
            kl_p99: 0.1,
            top1_agreement: 0.95,
            peer_perplexity: 4.0,
        }
    }
}

fn row(maker: Maker, with_text: bool, kl_mean: f64, bytes: u64) -> Row {
    Row {
        format: "q4_k_m".into(),
        with_text,
        maker,
        chosen: (maker == Maker::Auto).then(|| "gptq".into()),
        seconds: 1.25,
        figures: Figures { kl_mean, bytes, ..Figures::made_up() },
    }
}

fn report() -> QuantizationReport {
    let limits =
        Limits { kl_mean: Some(0.002), perplexity_ratio: Some(1.02), bits_per_weight: None };
    let promise = Promise { name: "int8".into(), limits, figures: Figures::made_up() };
    let tensors =
        FormatError { format: Format::Q4K, tensors: 9, larger: 0, ours: 1.5, theirs: 2.0 };
    let model = ModelReport {
        name: "toy".into(),
        context: 512,
        windows: 8,
        calibration_windows: 4,
        float: Figures { perplexity: 4.0, peer_perplexity: 4.001, ..Figures::made_up() },
        rows: vec![
            row(Maker::Peer, false, 0.02, 1000),
            row(Maker::Auto, false, 0.01, 1000),
            row(Maker::Peer, true, 0.016, 1000),
            row(Maker::KQuant, true, 0.02, 1004),
        ],
        promises: vec![promise],
        tensors: vec![tensors],
    };
    QuantizationReport {
        machine: Machine::made_up(),
        command: "cargo xtask bench quantization".into(),
        peer: "llama.cpp (llama-cpp-sys-2 0.1, native build)".into(),
        models: vec![model],
    }
}

#[test]
fn files_stand_beside_those_of_the_same_format_and_text() {
    let text = report().to_markdown();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| q4_k_m |")).collect();
    assert!(rows[1].starts_with("| q4_k_m | none | auto (gptq) | 1000 | 4.500 |"), "{text}");
    assert!(rows[1].contains("| 0.50x |"), "half of what theirs without a text costs: {text}");
    assert!(rows[3].contains("| 1.25x, but 4 B larger |"), "beside theirs with a text: {text}");
    assert!(rows.iter().all(|row| row.contains("| 4.0000 (+1.00 %) |")), "{text}");
    assert!(text.contains("| KL ≤ 0.002, ratio ≤ 1.02 | **no** |"), "{text}");
    assert!(text.contains("| q4_k | 9 | 1.50 | 2.00 | 0.750x | 0 |"), "{text}");
}

#[test]
fn reports_survive_json_and_are_drawn() {
    let text = crate::output::to_json(&report()).unwrap();
    assert_eq!(serde_json::from_str::<QuantizationReport>(&text).unwrap(), report());
    assert!(report().to_png().unwrap().starts_with(b"\x89PNG"));
}
