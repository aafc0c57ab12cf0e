//! How much is lost, against core's quantizers.

use super::*;

const COLS: usize = 512;
const LEN: usize = 48 * COLS;

const PLAIN: Method = Method::KQuant { objective: Objective::Error };

fn quantized(format: Format, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() / format.block_len() * format.block_bytes()];
    format.quantize(values, &mut bytes).unwrap();
    bytes
}

fn rounded(format: Format, values: &[f32], method: &Method, importance: Option<&[f32]>) -> Vec<u8> {
    let stats = InputStats { importance, hessian: None };
    round_matrix(values, COLS, format, method, &stats, 2).unwrap()
}

fn error(format: Format, bytes: &[u8], values: &[f32], importance: &[f32]) -> f64 {
    let pairs = decoded(format, bytes).into_iter().zip(values).zip(importance.iter().cycle());
    pairs.map(|((a, b), w)| f64::from(*w) * (f64::from(a) - f64::from(*b)).powi(2)).sum()
}

/// At most this share of core's error for normal deviates, heavy tails and outlying columns.
const BOUNDS: [(Format, f64); 12] = [
    (Format::Q8_0, 0.98),
    (Format::Q4_0, 0.97),
    (Format::Q4_1, 0.85),
    (Format::Q5_0, 0.98),
    (Format::Q5_1, 0.85),
    (Format::Q2K, 0.80),
    (Format::Q3K, 0.96),
    (Format::Q4K, 0.96),
    (Format::Q5K, 0.92),
    (Format::Q6K, 0.95),
    (Format::Iq4Nl, 0.96),
    (Format::Iq4Xs, 0.95),
];

#[test]
fn searching_together_loses_less() {
    let ones = vec![1.0; COLS];
    for (format, bound) in BOUNDS {
        for (name, values) in matrices(LEN, COLS) {
            let ours = error(format, &rounded(format, &values, &PLAIN, None), &values, &ones);
            let core = error(format, &quantized(format, &values), &values, &ones);
            assert!(ours < bound * core, "{format} {name}: {}", ours / core);
        }
    }
}

#[test]
fn importance_is_respected() {
    let importance: Vec<f32> = normal(COLS, 9).iter().map(|x| (1.5 * x).exp()).collect();
    for (format, bound) in BOUNDS {
        for (name, values) in matrices(LEN, COLS) {
            let ours = rounded(format, &values, &PLAIN, Some(&importance));
            let ours = error(format, &ours, &values, &importance);
            let blind = rounded(format, &values, &PLAIN, None);
            let blind = error(format, &blind, &values, &importance);
            let core = error(format, &quantized(format, &values), &values, &importance);
            assert!(ours < bound * core, "{format} {name}: {}", ours / core);
            assert!(ours < 0.99 * blind, "{format} {name}: {} of blind", ours / blind);
        }
    }
}

#[test]
fn a_clip_search_never_loses_more() {
    let ones = vec![1.0; COLS];
    for (format, _) in BOUNDS {
        for (name, values) in matrices(LEN, COLS) {
            let plain = rounded(format, &values, &Method::Rtn { clip_search: false }, None);
            assert_eq!(plain, quantized(format, &values), "{format} {name}");
            let searched = rounded(format, &values, &Method::Rtn { clip_search: true }, None);
            let (searched, plain) =
                (error(format, &searched, &values, &ones), error(format, &plain, &values, &ones));
            assert!(searched <= plain * 1.000_001, "{format} {name}: {}", searched / plain);
        }
    }
}

/// The sum of `|error|^0.7`.
fn robust_error(format: Format, bytes: &[u8], values: &[f32]) -> f64 {
    let errors = decoded(format, bytes).into_iter().zip(values);
    errors.map(|(a, b)| f64::from(a - b).abs().powf(0.7)).sum()
}

#[test]
fn half_quadratic_splitting_lowers_its_own_error() {
    let rtn = Method::Rtn { clip_search: false };
    // Without a search of its own in core: what both start from is the same.
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1, Format::Q5_0, Format::Q5_1] {
        for (name, values) in matrices(LEN, COLS) {
            let hqq = robust_error(format, &rounded(format, &values, &Method::Hqq, None), &values);
            let rtn = robust_error(format, &rounded(format, &values, &rtn, None), &values);
            assert!(hqq < 0.998 * rtn, "{format} {name}: {}", hqq / rtn);
        }
    }
}

#[test]
fn magnitudes_weigh_if_asked() {
    let [(_, values), ..] = matrices(LEN, COLS);
    let importance = vec![1.0; COLS];
    let by = |objective| {
        let method = Method::KQuant { objective };
        let values_of =
            decoded(Format::Q3K, &rounded(Format::Q3K, &values, &method, Some(&importance)));
        let errors = values_of.iter().zip(&values).filter(|(_, value)| value.abs() > 2.0);
        errors.map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    assert!(by(Objective::Magnitude) < 0.95 * by(Objective::Error));
}
