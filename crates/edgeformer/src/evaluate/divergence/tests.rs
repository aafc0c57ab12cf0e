use super::*;
use proptest::prelude::*;

fn one(reference: &[f32], candidate: &[f32], next: u32) -> Divergence {
    let mut divergence = Divergence::with_room(1);
    divergence.add(reference, candidate, next).unwrap();
    divergence
}

#[test]
fn made_up_logits_have_the_values_of_pencil_and_paper() {
    // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): the divergence is ln 2 / 4.
    let logs = |p: [f32; 3]| p.map(f32::ln);
    let of = one(&logs([0.5, 0.25, 0.25]), &logs([0.25, 0.5, 0.25]), 0);
    assert!((of.kl.mean() - 2f64.ln() / 4.0).abs() < 1e-7, "{of:?}");
    assert!((of.reference_nll.mean() - 2f64.ln()).abs() < 1e-7, "{of:?}");
    assert!((of.nll.mean() - 4f64.ln()).abs() < 1e-7, "{of:?}");
    assert!((of.excess.mean() - 2f64.ln()).abs() < 1e-7, "{of:?}");
    assert!((of.change.mean() + 0.25).abs() < 1e-7, "{of:?}");
    assert_eq!((of.same_top, of.tokens(), of.positions.len()), (0, 1, 1));
}

#[test]
fn a_uniform_distribution_is_as_perplexed_as_its_vocabulary() {
    let of = one(&[7.5; 64], &[-3.0; 64], 63);
    assert!((of.nll.mean().exp() - 64.0).abs() < 1e-9, "{of:?}");
    assert!(of.kl.mean() < 1e-12 && of.same_top == 1, "{of:?}");
}

#[test]
fn nonsense_is_refused() {
    let mut of = Divergence::default();
    let error = of.add(&[0.0, f32::NAN], &[0.0, 0.0], 0).unwrap_err().to_string();
    assert!(error.contains("NaN"), "{error}");
    assert!(of.add(&[0.0], &[f32::INFINITY], 0).is_err());
    assert!(of.add(&[0.0], &[0.0], 1).is_err());
    let error = of.add(&[0.0, 0.0], &[0.0], 0).unwrap_err().to_string();
    assert!(error.contains("over 2 tokens"), "{error}");
}

#[test]
fn every_token_lies_in_the_part_of_its_position() {
    for room in [1, 5, 16, 17, 40, 255] {
        let mut of = Divergence::with_room(room);
        (0..room).for_each(|_| of.add(&[0.0, 1.0], &[0.0, 2.0], 0).unwrap());
        let mut first = 0;
        for (part, position) in of.positions.iter().enumerate() {
            let (from, to) = of.bounds(part);
            assert_eq!((from, position.kl.count() as usize), (first, to + 1 - from), "{room}");
            first = to + 1;
        }
        assert_eq!(first, room);
    }
}

proptest! {
    #[test]
    fn no_distribution_diverges_from_itself_even_shifted(
        logits in prop::collection::vec(-40.0..40.0f32, 1..50), shift in -8i8..8,
    ) {
        // Halves are added exactly where the logits are multiples of a coarse step.
        let coarse: Vec<f32> = logits.iter().map(|logit| (logit * 64.0).round() / 64.0).collect();
        let shifted: Vec<f32> = coarse.iter().map(|logit| logit + f32::from(shift)).collect();
        let of = one(&coarse, &shifted, 0);
        prop_assert!(of.kl.mean() < 1e-10, "{of:?}");
        prop_assert!(of.excess.mean().abs() < 1e-10, "{of:?}");
        prop_assert_eq!(of.same_top, 1);
    }

    #[test]
    fn divergences_are_those_of_probabilities_summed_plainly(
        pairs in prop::collection::vec((-5.0..5.0f32, -5.0..5.0f32), 2..30),
    ) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let plain = |logits: &[f32]| {
            let exps: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|exp| exp / sum).collect::<Vec<f64>>()
        };
        let (p, q) = (plain(&a), plain(&b));
        let expected: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        prop_assert!((one(&a, &b, 1).kl.mean() - expected).abs() < 1e-9);
    }

    #[test]
    fn two_halves_merged_are_all_at_once(
        rows in prop::collection::vec((prop::array::uniform3(-5.0..5.0f32), 0u32..3), 1..40),
        cut in 0usize..40,
    ) {
        let cut = cut.min(rows.len());
        let sum = |rows: &[([f32; 3], u32)]| {
            let mut of = Divergence::default();
            rows.iter().for_each(|(row, next)| of.add(row, &[0.5, 0.0, 1.0], *next).unwrap());
            of
        };
        let mut merged = sum(&rows[..cut]);
        merged.merge(&sum(&rows[cut..]));
        let whole = sum(&rows);
        prop_assert_eq!((merged.tokens(), merged.same_top), (whole.tokens(), whole.same_top));
        prop_assert_eq!(&merged.values, &whole.values);
        let pairs = [
            (merged.kl, whole.kl), (merged.nll, whole.nll), (merged.excess, whole.excess),
            (merged.reference_nll, whole.reference_nll), (merged.change, whole.change),
        ];
        for (merged, whole) in pairs {
            prop_assert!((merged.mean() - whole.mean()).abs() < 1e-12);
            prop_assert!((merged.standard_error() - whole.standard_error()).abs() < 1e-7);
        }
        let text = serde_json::to_string(&whole).unwrap();
        prop_assert_eq!(serde_json::from_str::<Divergence>(&text).unwrap(), whole);
    }
}
