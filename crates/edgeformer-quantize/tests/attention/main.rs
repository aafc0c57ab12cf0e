//! Conversions of attention against the models they come from.

mod support;

use edgeformer_quantize::attention::{
    Align, GqaOptions, LatentNorm, MlaOptions, Weighting, gqa, mla,
};
use support::{Stories, checkpoint, difference};

#[test]
#[ignore]
fn explore() {
    let stories = Stories::read().unwrap();
    let c = &stories.checkpoint;
    for (rope_dims, norm) in [
        (16, LatentNorm::Exact),
        (8, LatentNorm::Exact),
        (8, LatentNorm::Portable),
        (4, LatentNorm::Exact),
        (4, LatentNorm::Portable),
    ] {
        let full = 64 - rope_dims;
        for rank in [full, full * 3 / 4, full / 2, full / 4] {
            for (weighting, cal) in [
                (Weighting::Plain, None),
                (Weighting::Inputs, None),
                (Weighting::Inputs, Some(&stories.calibration)),
            ] {
                let options =
                    MlaOptions { rank: Some(rank), rope_dims: Some(rope_dims), norm, weighting };
                let (made, report) = mla(c, &options, cal).unwrap();
                println!(
                    "mla rope {rope_dims} {norm:?} rank {rank} {weighting:?} cal {} ppl {:.4} {:.3} {:.3}",
                    cal.is_some(),
                    stories.perplexity(&made),
                    report.layers[2].keys,
                    report.layers[2].values
                );
            }
        }
    }
}

#[test]
fn full_size_is_exact() {
    for path in ["models/stories260k/stories260k-f32.gguf", "fixtures/gguf-blocks/f16.gguf"] {
        let Some(checkpoint) = checkpoint(path) else { return };
        let (latent, report) = mla(&checkpoint, &MlaOptions::default(), None).unwrap();
        assert!(difference(&checkpoint, &latent) < 1e-4);
        assert!(report.layers.iter().all(|layer| layer.keys > 0.999 && layer.values > 0.999));
    }
}
