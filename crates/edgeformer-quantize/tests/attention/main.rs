//! Conversions of attention against the models they come from: exact at full size, better than the
//! plain ones below.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folders;
mod quality;
mod refusals;
mod support;
mod variants;

use edgeformer_quantize::attention::{Align, GqaOptions, MlaOptions, gqa, mla};
use support::{checkpoint, difference};
use variants::variants;

/// Models in which attention is of the convertible kind.
const MODELS: [&str; 2] =
    ["models/stories260k/stories260k-f32.gguf", "fixtures/gguf-blocks/f16.gguf"];

#[test]
fn full_latents_change_no_logit() {
    for path in MODELS {
        let Some(plain) = checkpoint(path) else { return };
        for (what, model) in variants(&plain) {
            let (latent, report) = mla(&model, &MlaOptions::default(), None).unwrap();
            let difference = difference(&model, &latent);
            assert!(difference < 1e-4, "{path}, {what}: {difference}");
            let whole = |layer: &edgeformer_quantize::attention::LayerReport| {
                layer.keys > 1.0 - 1e-9 && layer.values > 1.0 - 1e-9
            };
            assert!(report.layers.iter().all(whole), "{path}, {what}: {report:?}");
            assert!(report.cached_after <= report.cached_before && !report.not_portable.is_empty());
        }
    }
}

#[test]
fn as_many_groups_as_heads_change_no_logit() {
    for path in MODELS {
        let Some(model) = checkpoint(path) else { return };
        let heads = model.get("llama.attention.head_count_kv").unwrap().as_integer().unwrap();
        for align in [Align::Plain, Align::Procrustes, Align::Principal] {
            let options = GqaOptions { groups: usize::try_from(heads).unwrap(), align };
            let (grouped, report) = gqa(&model, &options, None).unwrap();
            assert!(difference(&model, &grouped) < 1e-12);
            assert_eq!(report.cached_before, report.cached_after);
        }
    }
}

#[test]
fn every_variant_is_grouped() {
    let Some(plain) = checkpoint(MODELS[1]) else { return };
    for (what, model) in variants(&plain) {
        for align in [Align::Plain, Align::Procrustes, Align::Principal] {
            let (grouped, report) = gqa(&model, &GqaOptions { groups: 1, align }, None).unwrap();
            assert!(difference(&model, &grouped).is_finite(), "{what}");
            assert_eq!(report.cache_bytes()[0], 2 * report.cache_bytes()[1]);
        }
    }
}
