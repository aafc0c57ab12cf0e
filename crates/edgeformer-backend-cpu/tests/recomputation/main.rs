//! Whatever its history, a sequence's logits are those of its tokens computed anew: random
//! families, cache formats, visibility, tiers, page sizes and chunks, and any order of steps,
//! forks, truncations, removals, restored copies and adopted beginnings.
//!
//! "Anew" is a session of its own without tiers, which reads all tokens in one piece: the bits must
//! be the same. Where the cache is exact and what is seen does not depend on attention, the plain
//! evaluator in f64 is asked too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod family;
mod history;
mod settings;

use edgeformer_core::CacheFormat;
use proptest::prelude::*;

use family::layers;
use history::{History, actions};
use settings::{Tier, formats, settings, visibility};

/// Histories of each property. On ARM fewer, for emulation takes its time: what is replayed is the
/// same on every machine, and kernels have tests of their own.
const CASES: u32 = if cfg!(target_arch = "aarch64") { 16 } else { 96 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn in_every_format(
        layers in layers(),
        settings in settings(),
        formats in formats(&CacheFormat::ALL),
        actions in actions(),
    ) {
        History::new(&layers, settings.with_formats(formats)).play(actions);
    }

    #[test]
    fn with_less_to_see(
        layers in layers(),
        settings in settings(),
        formats in formats(&CacheFormat::ALL),
        visibility in visibility(),
        actions in actions(),
    ) {
        let settings = settings.with_formats(formats).with_visibility(visibility);
        History::new(&layers, settings).play(actions);
    }

    #[test]
    fn with_pages_in_a_file(
        layers in layers(),
        settings in settings(),
        formats in formats(&CacheFormat::ALL),
        visibility in prop_oneof![Just(Default::default()), visibility()],
        share in 0.0..0.7f64,
        actions in actions(),
    ) {
        let settings = settings.with_formats(formats).with_visibility(visibility);
        History::new(&layers, settings.with_tier(Tier::Spilled, share)).play(actions);
    }

    #[test]
    fn with_cold_pages(
        layers in layers(),
        settings in settings(),
        // Keys in four bits are as cold as it gets.
        keys in formats(&CacheFormat::ALL[..3]),
        values in formats(&CacheFormat::ALL[..2]),
        cold in prop_oneof![Just(CacheFormat::Q4_0), Just(CacheFormat::Q4_0H)],
        share in 0.0..1.0f64,
        actions in actions(),
    ) {
        let settings = settings.with_formats((keys.0, values.1));
        History::new(&layers, settings.with_tier(Tier::Cold(cold), share)).play(actions);
    }
}
