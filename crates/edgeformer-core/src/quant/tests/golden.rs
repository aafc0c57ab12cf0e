//! Every format against gguf-py and llama.cpp; `testdata/quant/generate.py` says how the files
//! were made.

use super::*;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

macro_rules! golden {
    ($format:ident, $name:literal, $direction:literal) => {
        (
            Format::$format,
            &include_bytes!(concat!("../../../testdata/quant/", $name, ".", $direction))[..],
        )
    };
}

#[test]
fn decodes_what_gguf_py_decodes() {
    let golden = [
        golden!(Q8_0, "q8_0", "decode"),
        golden!(Q4_0, "q4_0", "decode"),
        golden!(Q4_1, "q4_1", "decode"),
        golden!(Q5_0, "q5_0", "decode"),
        golden!(Q5_1, "q5_1", "decode"),
        golden!(Q2K, "q2_k", "decode"),
        golden!(Q3K, "q3_k", "decode"),
        golden!(Q4K, "q4_k", "decode"),
        golden!(Q5K, "q5_k", "decode"),
        golden!(Q6K, "q6_k", "decode"),
        golden!(Iq4Nl, "iq4_nl", "decode"),
        golden!(Iq4Xs, "iq4_xs", "decode"),
    ];
    for (format, golden) in golden {
        let (blocks, values) = golden.split_at(3 * format.block_bytes());
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(decoded(format, blocks)), bits(floats(values)), "{format}");
    }
}

#[test]
fn encodes_what_gguf_py_encodes() {
    let golden = [
        golden!(Q8_0, "q8_0", "encode"),
        golden!(Q4_0, "q4_0", "encode"),
        golden!(Q4_1, "q4_1", "encode"),
        golden!(Q5_0, "q5_0", "encode"),
        golden!(Q5_1, "q5_1", "encode"),
    ];
    for (format, golden) in golden {
        let (values, blocks) = golden.split_at(4 * 32 * size_of::<f32>());
        assert_eq!(encoded(format, &floats(values)), blocks, "{format}");
    }
}

/// The sum of squared errors of blocks against the values that they encode.
fn error(format: Format, blocks: &[u8], values: &[f32]) -> f32 {
    decoded(format, blocks).iter().zip(values).map(|(a, b)| (a - b).powi(2)).sum()
}

#[test]
fn searches_as_well_as_llama_cpp() {
    let golden = [
        golden!(Q2K, "q2_k", "llama"),
        golden!(Q3K, "q3_k", "llama"),
        golden!(Q4K, "q4_k", "llama"),
        golden!(Q5K, "q5_k", "llama"),
        golden!(Q6K, "q6_k", "llama"),
        golden!(Iq4Nl, "iq4_nl", "llama"),
        golden!(Iq4Xs, "iq4_xs", "llama"),
    ];
    for (format, golden) in golden {
        let (weights, theirs) = golden.split_at(1024 * 2);
        let weights = decoded(Format::F16, weights);
        let ours = encoded(format, &weights);
        assert_eq!(ours.len(), theirs.len());
        let (ours, theirs) = (error(format, &ours, &weights), error(format, theirs, &weights));
        assert!(ours < 1.01 * theirs, "{format}: {ours}, llama.cpp {theirs}");
    }
}
