//! Memory stays what it is: sequences come and go, and pages go round. One test alone, so that
//! nobody else's memory is counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu", target_os = "linux"))]

use edgeformer::{Engine, EngineOptions, GenerateOptions, ModelSource, SamplingOptions};

/// Sequences that are generated and removed.
const CYCLES: usize = 10_000;
/// Of these, those before memory is first looked at.
const WARM: usize = 100;

/// Kilobytes of this process in memory, but for its files: pages of the program come in one by one as
/// they are first run.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Pseudo-random numbers below `most`, by a linear congruence (Knuth's MMIX).
struct Lengths(u64);

impl Lengths {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

#[test]
fn thousands_of_sequences_later_memory_is_what_it_was() {
    // Under emulation every token takes a hundred times as long, and the emulator's own memory is
    // counted.
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("skipped: memory of the emulator would be measured");
        return;
    }
    let options = EngineOptions { context: Some(512), sequences: 2, ..EngineOptions::default() };
    let engine = Engine::open(&ModelSource::Embedded, &options).unwrap();
    let text = engine.tokenize(&"To be or not to be, that is the question. ".repeat(40)).unwrap();
    let mut lengths = Lengths(1);
    let mut first = 0;
    for cycle in 0..CYCLES {
        if cycle == WARM {
            first = resident();
        }
        // At first long ones, so that every page of the plan was there once; then mostly short
        // ones, and now and then one that nearly fills the context.
        let most = if cycle < WARM || cycle % 50 == 0 { 400 } else { 16 };
        let start = lengths.below(100);
        let prompt = &text[start..start + 1 + lengths.below(most)];
        let generate = GenerateOptions {
            sampling: SamplingOptions { seed: cycle as u64, ..SamplingOptions::default() },
            max_tokens: Some(1 + lengths.below(4)),
            ignore_eos: true,
            ..GenerateOptions::default()
        };
        let mut stream = engine.generate(prompt, &generate).unwrap();
        stream.text().unwrap();
    }
    let last = resident();
    let change = last.abs_diff(first) as f64 / first as f64;
    assert!(change <= 0.02, "{first} kB after {WARM} sequences, {last} kB after {CYCLES}");
    println!(
        "{first} kB after {WARM} sequences, {last} kB after {CYCLES}: {:.2} %",
        change * 100.0
    );
}
