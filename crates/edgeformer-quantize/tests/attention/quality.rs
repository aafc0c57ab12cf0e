//! Perplexity of a small real model, below full size.

use edgeformer_quantize::attention::{
    Align, GqaOptions, LatentNorm, MlaOptions, Weighting, gqa, mla,
};

use crate::support::Stories;

#[test]
fn aligned_heads_are_better_than_averaged_ones() {
    let Some(stories) = Stories::get() else { return };
    for groups in [2, 1] {
        let [plain, procrustes, principal] = [Align::Plain, Align::Procrustes, Align::Principal]
            .map(|align| {
                let options = GqaOptions { groups, align };
                let calibration = Some(&stories.calibration);
                let (grouped, _) = gqa(&stories.checkpoint, &options, calibration).unwrap();
                stories.perplexity(&grouped)
            });
        println!("{groups} groups: {plain:.3}, turned {procrustes:.3}, principal {principal:.3}");
        assert!(procrustes < plain && principal < plain);
    }
}

#[test]
fn weighted_latents_are_better_than_plain_ones() {
    let Some(stories) = Stories::get() else { return };
    for (rope_dims, ranks) in [(32, [24, 16, 8]), (8, [42, 28, 14])] {
        for rank in ranks {
            let [plain, bare, weighted] =
                [(Weighting::Plain, false), (Weighting::Inputs, false), (Weighting::Inputs, true)]
                    .map(|(weighting, calibrated)| {
                        let options = MlaOptions {
                            rank: Some(rank),
                            rope_dims: Some(rope_dims),
                            weighting,
                            norm: LatentNorm::Exact,
                        };
                        let calibration = calibrated.then_some(&stories.calibration);
                        let (latent, _) = mla(&stories.checkpoint, &options, calibration).unwrap();
                        stories.perplexity(&latent)
                    });
            println!("{rank} + {rope_dims}: {plain:.3}, weighted {bare:.3}, {weighted:.3}");
            assert!(weighted < bare && bare < plain);
        }
    }
}

/// Other runtimes normalise the latent: that costs little, and the file says it is theirs.
#[test]
fn portable_latents_cost_little() {
    let Some(stories) = Stories::get() else { return };
    let [exact, portable] = [LatentNorm::Exact, LatentNorm::Portable].map(|norm| {
        let options =
            MlaOptions { rank: Some(42), rope_dims: Some(8), norm, ..MlaOptions::default() };
        let calibration = Some(&stories.calibration);
        let (latent, report) = mla(&stories.checkpoint, &options, calibration).unwrap();
        assert_eq!(report.not_portable.is_empty(), norm == LatentNorm::Portable);
        assert!(latent.tensor("rope_freqs.weight").is_none());
        stories.perplexity(&latent)
    });
    println!("exact {exact:.3}, portable {portable:.3}");
    assert!(portable < 1.1 * exact);
}
