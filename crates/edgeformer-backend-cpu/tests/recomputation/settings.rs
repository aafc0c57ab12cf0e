//! Random options of a session.

use std::sync::Arc;

use edgeformer_core::{CacheFormat, HeadWindows, LatentForm, SessionOptions, Visibility, Window};
use proptest::prelude::*;

use crate::family::HEADS;

/// Where pages go that memory has no room for.
#[derive(Debug, Clone, Copy)]
pub enum Tier {
    Spilled,
    Cold(CacheFormat),
}

/// The options of a session; its budget is a share of what it could use.
#[derive(Debug, Clone)]
pub struct Settings {
    pub options: SessionOptions,
    pub tier: Option<(Tier, f64)>,
    /// Of the model's weights.
    pub seed: u64,
}

impl Settings {
    pub fn with_formats(mut self, (keys, values): (CacheFormat, CacheFormat)) -> Self {
        (self.options.cache_type_k, self.options.cache_type_v) = (keys, values);
        self
    }

    pub fn with_visibility(mut self, visibility: Visibility) -> Self {
        let adapts = matches!(visibility.window, Window::Adaptive { .. });
        if adapts || visibility.sinks > 0 || visibility.attend_pages.is_some() {
            // The other form shows all of the past.
            self.options.latent_form = LatentForm::Absorbed;
        }
        self.options.visibility = visibility;
        self
    }

    pub fn with_tier(mut self, tier: Tier, share: f64) -> Self {
        self.tier = Some((tier, share));
        self
    }
}

pub fn settings() -> impl Strategy<Value = Settings> {
    let page = prop_oneof![1..8usize, 8..=32usize];
    // The forms of latent attention round differently: one is chosen for all.
    let form = prop_oneof![Just(LatentForm::Absorbed), Just(LatentForm::Expanded)];
    (24..80usize, 1..4usize, 1..40usize, page, form, any::<u64>()).prop_map(
        |(context, sequences, chunk, page_tokens, latent_form, seed)| {
            let (cache_type_k, cache_type_v) = (CacheFormat::F32, CacheFormat::F32);
            let options = SessionOptions {
                context,
                sequences,
                chunk,
                output_rows: chunk,
                page_tokens,
                latent_form,
                cache_type_k,
                cache_type_v,
                ..SessionOptions::default()
            };
            Settings { options, tier: None, seed }
        },
    )
}

/// Formats of keys and of values; values are never rotated.
pub fn formats(known: &[CacheFormat]) -> impl Strategy<Value = (CacheFormat, CacheFormat)> + use<> {
    let values: Vec<_> =
        known.iter().copied().filter(|format| *format != CacheFormat::Q4_0H).collect();
    (prop::sample::select(known.to_vec()), prop::sample::select(values))
}

/// Windows, sinks and chosen pages, where they go together. Tables of windows are for three layers.
pub fn visibility() -> impl Strategy<Value = Visibility> {
    let window = || prop_oneof![Just(None), (1..40usize).prop_map(Some)];
    let table = prop::collection::vec(prop::collection::vec(window(), HEADS), 3);
    let window = prop_oneof![
        Just(Window::Model),
        (1..16usize).prop_map(Window::Tokens),
        table.prop_map(|slots| Window::Heads(Arc::new(HeadWindows { slots }))),
        (1..8usize, 8..20usize).prop_map(|(least, most)| Window::Adaptive { least, most }),
    ];
    let sinks = prop_oneof![Just(0usize), 1..5usize];
    let attend_pages = prop_oneof![3 => Just(None), 1 => (1..4usize).prop_map(Some)];
    (window, sinks, attend_pages).prop_map(|(window, sinks, attend_pages)| {
        let needs_all = matches!(window, Window::Adaptive { .. });
        let visibility = Visibility { window, sinks, attend_pages, eviction: None };
        match needs_all || visibility.is_endless() {
            true => Visibility { attend_pages: None, ..visibility },
            false => visibility,
        }
    })
}
