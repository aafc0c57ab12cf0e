//! Conversations that are saved to a file and go on in another engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "embedded-model", feature = "cpu"))]

use std::fs;
use std::path::Path;

use edgeformer::{
    CacheFormat, Engine, EngineOptions, Error, Finish, GenerateOptions, ModelSource,
    SamplingOptions,
};

fn open(options: EngineOptions) -> Engine {
    Engine::open(&ModelSource::Embedded, &options).unwrap()
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ..GenerateOptions::default() }
}

/// Saves what `prompt` and its answer leave in the cache; how many tokens that are.
fn save(prompt: &str, path: &Path) -> usize {
    let engine = open(EngineOptions::default());
    let conversation = engine.conversation();
    conversation.generate(prompt, &greedy(10)).unwrap().text().unwrap();
    conversation.save(path).unwrap()
}

/// Continues from a file.
fn resume(path: &Path, prompt: &str) -> (String, Finish) {
    let engine = open(EngineOptions::default());
    let conversation = engine.conversation();
    conversation.load(path).unwrap();
    let mut stream = conversation.generate(prompt, &greedy(10)).unwrap();
    let text = stream.text().unwrap();
    (text, stream.finish().unwrap().clone())
}

fn refusal(path: &Path, options: EngineOptions) -> String {
    let engine = open(options);
    let conversation = engine.conversation();
    let error = conversation.load(path).unwrap_err();
    assert!(matches!(error, Error::PromptCache { .. }), "{error}");
    // The engine still serves, and nothing of the file is left in it.
    assert_eq!(engine.cache_usage().unwrap().sequences, 0);
    conversation.generate("To be", &greedy(2)).unwrap().text().unwrap();
    error.to_string()
}

#[test]
fn a_saved_prompt_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    let prompt = "To be or not to be, that is the question";
    let saved = save(prompt, &path);
    let (plain, finish) = {
        let engine = open(EngineOptions::default());
        let mut stream = engine.generate(prompt, &greedy(10)).unwrap();
        (stream.text().unwrap(), stream.finish().unwrap().clone())
    };
    // Everything but the last token of the prompt is there; the old answer is cut off.
    assert_eq!(saved, finish.stats.prompt_tokens + 9);
    let (text, resumed) = resume(&path, prompt);
    assert_eq!((text, resumed.tokens), (plain, finish.tokens));
    assert_eq!(resumed.stats.cached_tokens, finish.stats.prompt_tokens - 1);
}

#[test]
fn another_prompt_takes_what_it_has_in_common() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    save("To be or not to be, that is the question", &path);
    let other = "To be or not to be, my lord, is nothing";
    let engine = open(EngineOptions::default());
    let plain = engine.generate(other, &greedy(10)).unwrap().text().unwrap();
    let (text, finish) = resume(&path, other);
    assert_eq!(text, plain);
    assert!((5..finish.stats.prompt_tokens - 1).contains(&finish.stats.cached_tokens));
    let (_, finish) = resume(&path, "ROMEO: what else");
    assert!(finish.stats.cached_tokens <= 1, "the first token may be the same");
}

#[test]
fn saving_waits_for_the_answer_and_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    let engine = open(EngineOptions { sequences: 2, ..EngineOptions::default() });
    let conversation = engine.conversation();
    assert!(conversation.save(&path).unwrap_err().to_string().contains("nothing to save"));
    assert!(!path.exists());
    let stream = conversation.generate("To be", &greedy(40)).unwrap();
    let tokens = engine.tokenize("To be").unwrap().len();
    assert_eq!(conversation.save(&path).unwrap(), tokens + 39);
    drop(stream);
    // Turns of a conversation come one after the other, dropped answers included.
    drop(conversation.generate("To be", &greedy(40)).unwrap());
    assert!(conversation.save(&path).unwrap() >= tokens);
}

#[test]
fn files_of_other_options_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    save("To be or not to be, that is the question", &path);
    let told = refusal(
        &path,
        EngineOptions { cache_type_k: Some(CacheFormat::F32), ..EngineOptions::default() },
    );
    assert!(told.contains("prompt.cache") && told.contains("f32"), "{told}");
    let told = refusal(&path, EngineOptions { context: Some(8), ..EngineOptions::default() });
    assert!(told.contains("opened for 8"), "{told}");
}

#[test]
fn damaged_files_are_refused_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.cache");
    save("To be", &path);
    let whole = fs::read(&path).unwrap();
    let engine = open(EngineOptions::default());
    let conversation = engine.conversation();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = conversation.load(&path).unwrap_err().to_string();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(error.contains("prompt.cache") && !error.contains('\n'), "{error}");
        error
    };
    for kept in [0, 4, 8, 19, 20, 30, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..kept]);
    }
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        refused(&bytes);
    }
    assert!(refused(&[whole.as_slice(), b"x"].concat()).contains("something follows"));
    assert!(refused(b"GGUF, but not a prompt").contains("EFPROMPT"));
    assert_eq!(engine.cache_usage().unwrap().sequences, 0);
    fs::write(&path, &whole).unwrap();
    conversation.load(&path).unwrap();
    assert_eq!(engine.cache_usage().unwrap().sequences, 1);
}

#[test]
fn an_unwritable_place_is_told() {
    let engine = open(EngineOptions::default());
    let conversation = engine.conversation();
    conversation.generate("To be", &greedy(2)).unwrap().text().unwrap();
    let error = conversation.save(Path::new("/nowhere/at/all")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
    assert!(conversation.load(Path::new("/nowhere/at/all")).is_err());
}
