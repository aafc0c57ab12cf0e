//! Against files that llama.cpp quantized from one model.

use edgeformer_conformance::shared;
use edgeformer_models::gguf::Gguf;

use super::*;
use crate::mixture::{Mixture, ModelFacts};

/// Mixture and file of each.
const FILES: [(&str, &str); 12] = [
    ("q2_k", "q2_k"),
    ("q3_k_m", "q3_k_m"),
    ("q4_k_m", "q4_k_m"),
    ("q5_k_m", "q5_k_m"),
    ("q6_k", "q6_k"),
    ("iq4_nl", "iq4_nl"),
    ("iq4_xs", "iq4_xs"),
    ("q8_0", "q8_0"),
    ("q4_0", "q4_0"),
    ("q4_1", "q4_1"),
    ("q5_0", "q5_0"),
    ("q5_1", "q5_1"),
];

fn open(name: &str) -> Option<Gguf> {
    Some(Gguf::open(&shared(&format!("fixtures/gguf-blocks/{name}.gguf"))?).unwrap())
}

#[test]
fn no_tensor_loses_more_than_in_their_files() {
    let Some(source) = open("f16") else { return };
    let plain = Method::KQuant { objective: Objective::Error };
    let mut all = std::collections::BTreeMap::new();
    for (_, name) in FILES {
        let theirs = open(name).unwrap();
        for info in theirs.tensors().filter(|info| !info.format().is_float()) {
            let theirs = theirs.tensor(info.name()).unwrap();
            let weights = source.tensor(info.name()).unwrap().to_f32();
            let cols = *theirs.shape().last().unwrap();
            let (format, stats) = (theirs.format(), InputStats::default());
            let ours = round_matrix(&weights, cols, format, &plain, &stats, 2).unwrap();
            let (ours, theirs) =
                (error(format, &ours, &weights), error(format, theirs.bytes(), &weights));
            assert!(ours <= theirs, "{name} {}: {}", info.name(), ours / theirs);
            let sums = all.entry(format).or_insert((0.0, 0.0));
            (sums.0, sums.1) = (sums.0 + ours, sums.1 + theirs);
        }
    }
    for (format, (ours, theirs)) in all {
        let ratio = ours / theirs;
        eprintln!("{format}: {ratio:.3} of llama.cpp's error");
        assert!(ratio < 0.98, "{format}: {ratio}");
    }
}

fn error(format: Format, bytes: &[u8], values: &[f32]) -> f64 {
    let errors = decoded(format, bytes).into_iter().zip(values);
    errors.map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[test]
fn their_mixtures_are_ours() {
    if open("f16").is_none() {
        return;
    }
    for (mixture, name) in FILES {
        let file = open(name).unwrap();
        let mixture: Mixture = mixture.parse().unwrap();
        let metadata = file.metadata();
        let architecture = metadata.str("general.architecture").unwrap().unwrap();
        let number = |key: &str| metadata.u32(&format!("{architecture}.{key}")).unwrap().unwrap();
        let model = ModelFacts {
            architecture,
            layers: number("block_count") as usize,
            gqa: (number("attention.head_count") / number("attention.head_count_kv")) as usize,
            experts: 0,
            has_output: file.info("output.weight").is_some(),
            has_importance: false,
        };
        assert_eq!(metadata.u32("general.file_type").unwrap(), Some(mixture.file_type()), "{name}");
        for info in file.tensors() {
            let ours = mixture.assign(info.name(), info.shape(), &model);
            let ours = ours.map_or(Format::F32, |assignment| assignment.format);
            assert_eq!(ours, info.format(), "{name} {}", info.name());
        }
    }
}
