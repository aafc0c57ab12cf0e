//! Adapters that each request chooses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/adapters.rs"]
mod adapters;
mod support;

use std::path::{Path, PathBuf};

use edgeformer::config::AdapterSetting;
use edgeformer::{
    AdapterUse, Engine, EngineOptions, Finish, GenerateOptions, ModelSource, SamplingOptions,
};
use tempfile::TempDir;

/// The first adapter is opened at the one scale, the second at the other.
const OPENED: [f32; 2] = [4.0, -2.0];

const PROMPT: &str = "O Romeo, Romeo! wherefore art thou Romeo? Deny thy father and refuse thy name; \
                      Or, if thou wilt not, be but sworn my love, And I'll no longer be a Capulet.";

/// Two adapters of the embedded model.
struct Lab {
    _folder: TempDir,
    paths: [PathBuf; 2],
}

impl Lab {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let paths = [0, 1].map(|block| {
            let path = folder.path().join(format!("adapter-{block}.gguf"));
            adapters::write_block_adapter(&adapters::embedded(), &path, block);
            path
        });
        Self { _folder: folder, paths }
    }

    /// An engine with some of them at some scales.
    fn open(&self, adapters: &[(usize, f32)]) -> Engine {
        let setting = |&(id, scale): &(usize, f32)| {
            let path = self.paths[id].clone();
            AdapterSetting { path, scale }
        };
        let adapters = adapters.iter().map(setting).collect();
        // A page is shared when it is full.
        let options = EngineOptions { adapters, page_tokens: 4, ..EngineOptions::default() };
        Engine::open(&ModelSource::Embedded, &options).unwrap()
    }

    fn both(&self) -> Engine {
        self.open(&[(0, OPENED[0]), (1, OPENED[1])])
    }
}

fn asking(adapters: Option<&[(usize, f32)]>) -> GenerateOptions {
    let used = |&(id, scale): &(usize, f32)| AdapterUse { id, scale };
    GenerateOptions {
        sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
        max_tokens: Some(24),
        ignore_eos: true,
        adapters: adapters.map(|adapters| adapters.iter().map(used).collect()),
        ..GenerateOptions::default()
    }
}

fn answer(engine: &Engine, adapters: Option<&[(usize, f32)]>) -> Finish {
    let mut stream = engine.generate(PROMPT, &asking(adapters)).unwrap();
    stream.text().unwrap();
    stream.finish().unwrap().clone()
}

/// Requests at the same time, each under its own adapters, say what engines with these alone say.
#[test]
fn each_request_has_the_adapters_that_it_names() {
    let lab = Lab::new();
    let engine = lab.both();
    let choices: [Option<&[(usize, f32)]>; 6] = [
        None,
        Some(&[]),
        Some(&[(0, 6.0)]),
        Some(&[(1, -5.0)]),
        Some(&[(1, 8.0), (0, -4.0)]),
        Some(&[(0, OPENED[0]), (1, OPENED[1])]),
    ];
    let mut streams: Vec<_> =
        choices.iter().map(|&choice| engine.generate(PROMPT, &asking(choice)).unwrap()).collect();
    let found: Vec<String> = streams.iter_mut().map(|stream| stream.text().unwrap()).collect();
    let alone = |adapters: &[(usize, f32)]| {
        let mut stream = lab.open(adapters).generate(PROMPT, &asking(None)).unwrap();
        stream.text().unwrap()
    };
    let usual = alone(&[(0, OPENED[0]), (1, OPENED[1])]);
    assert_eq!((&found[0], &found[5]), (&usual, &usual));
    assert_eq!(found[1], alone(&[]));
    assert_eq!(found[2], alone(&[(0, 6.0)]));
    assert_eq!(found[3], alone(&[(1, -5.0)]));
    assert_eq!(found[4], alone(&[(0, -4.0), (1, 8.0)]));
    for (index, text) in found[..5].iter().enumerate() {
        assert!(!found[..index].contains(text), "{index}: {text}");
    }
}

#[test]
fn beginnings_are_shared_under_the_same_adapters_only() {
    let lab = Lab::new();
    let engine = lab.both();
    let first = answer(&engine, Some(&[(0, 6.0)]));
    let other = answer(&engine, Some(&[(1, -5.0)]));
    let again = answer(&engine, Some(&[(0, 6.0)]));
    let cached = [&first, &other, &again].map(|finish| finish.stats.cached_tokens);
    assert!(cached[0] == 0 && cached[1] == 0 && cached[2] > 8, "{cached:?}");
    assert_eq!(first.tokens, again.tokens);
    assert_ne!(first.tokens, other.tokens);
    // Nothing said, and the usual said, are one choice.
    answer(&engine, None);
    let usual = answer(&engine, Some(&[(0, OPENED[0]), (1, OPENED[1])]));
    assert!(usual.stats.cached_tokens > 8, "{:?}", usual.stats);
}

#[test]
fn a_turn_under_other_adapters_begins_anew() {
    let lab = Lab::new();
    let engine = lab.both();
    let conversation = engine.conversation();
    let turn = |adapters| {
        let mut stream = conversation.generate(PROMPT, &asking(Some(adapters))).unwrap();
        stream.text().unwrap();
        let finish = stream.finish().unwrap();
        (finish.stats.cached_tokens, finish.tokens.clone())
    };
    let (first, other) = (turn(&[(0, 1.0)]), turn(&[(1, 1.0)]));
    assert_eq!((first.0, other.0), (0, 0));
    let again = turn(&[(1, 1.0)]);
    assert!(again.0 > 8 && again.1 == other.1, "{again:?} {other:?}");
}

#[test]
fn a_saved_turn_knows_its_adapters() {
    let lab = Lab::new();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("prompt.cache");
    let asked = [(0, 0.25), (1, 1.5)];
    let before = {
        let engine = lab.both();
        let conversation = engine.conversation();
        let mut stream = conversation.generate(PROMPT, &asking(Some(&asked))).unwrap();
        stream.text().unwrap();
        conversation.save(&path).unwrap();
        stream.finish().unwrap().tokens.clone()
    };
    let after = |adapters: &[(usize, f32)]| {
        let engine = lab.both();
        let conversation = engine.conversation();
        conversation.load(&path).unwrap();
        let mut stream = conversation.generate(PROMPT, &asking(Some(adapters))).unwrap();
        stream.text().unwrap();
        let finish = stream.finish().unwrap();
        (finish.stats.cached_tokens, finish.tokens.clone())
    };
    let (cached, tokens) = after(&asked);
    assert!(cached > 8 && tokens == before, "{cached} tokens cached");
    assert_eq!(after(&[(0, 0.25)]).0, 0);
    let told = load_without_adapters(&lab, &path);
    assert!(told.contains("another model"), "{told}");
}

fn load_without_adapters(lab: &Lab, path: &Path) -> String {
    let engine = lab.open(&[]);
    let told = engine.conversation().load(path).unwrap_err();
    told.to_string()
}

#[test]
fn adapters_that_are_not_there_are_refused() {
    let lab = Lab::new();
    let engine = lab.both();
    let told = |adapters: &[(usize, f32)]| {
        engine.generate(PROMPT, &asking(Some(adapters))).map(drop).unwrap_err().to_string()
    };
    insta::assert_snapshot!(told(&[(0, 1.0), (2, 1.0)]), @"there is no adapter 2: the engine was opened with adapters 0 to 1");
    insta::assert_snapshot!(told(&[(1, 1.0), (1, 0.5)]), @"adapter 1 is named twice");
    insta::assert_snapshot!(told(&[(0, f32::NAN)]), @"step: the scale of adapter 0 is NaN, it must be a finite number");
    let plain = lab.open(&[]);
    let told = plain.generate(PROMPT, &asking(Some(&[(0, 1.0)]))).map(drop).unwrap_err();
    insta::assert_snapshot!(told, @"there is no adapter 0: the engine was opened with none");
    assert!(plain.generate(PROMPT, &asking(Some(&[]))).is_ok());
}
