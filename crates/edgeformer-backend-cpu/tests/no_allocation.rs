//! A warm step allocates nothing, on any thread. One test alone and without a harness, so that
//! nobody else allocates: a harness does after a minute, to say that the test is slow.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::shared;
use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Input, Outputs, SequenceId, Session, SessionOptions,
    Span, Step, Tiers, Visibility, Want, Window,
};
use edgeformer_models::{OpenOptions, open_with};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator unchanged, and its answer is returned.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Whether steps take their time: elsewhere an emulator runs them.
const NATIVE: bool = cfg!(target_arch = "x86_64");
/// Steps of each mode that are counted.
const STEPS: usize = if NATIVE { 1000 } else { 60 };
/// Steps before, in which everything is used once: the context is full and begun anew.
const WARM: usize = if NATIVE { 2 * CONTEXT + 41 } else { CONTEXT + 21 };
/// Tokens that a sequence of the tests may hold.
const CONTEXT: usize = 256;

/// What steps do to their sequences.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// Single tokens.
    Decode,
    /// Chunks of a prompt.
    Prefill,
    /// Two sequences that share their past until they write.
    Fork,
}

/// Runs steps of a mode and counts what they allocate.
struct Steps {
    session: Box<dyn Session>,
    outputs: Outputs,
    sequences: Vec<SequenceId>,
    counted: usize,
}

impl Steps {
    fn open(path: &str, options: &SessionOptions) -> Option<Self> {
        let file = open_with(&shared(path)?, &OpenOptions { tokenizer: false }).unwrap();
        let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
        let compile = CompileOptions { threads: Some(2), ..CompileOptions::default() };
        let program = backend.compile(file.model, &compile).unwrap();
        let mut session = program.open(options).unwrap();
        let sequences = vec![session.cache().create().unwrap()];
        Some(Self { session, outputs: Outputs::default(), sequences, counted: 0 })
    }

    /// `count` steps, from the start again whenever the context is full.
    fn take(&mut self, mode: Mode, count: usize) {
        let tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        let tokens = if mode == Mode::Prefill { &tokens[..] } else { &tokens[..1] };
        for step in 0..count {
            let first = self.sequences[0];
            if self.session.cache().len(first) + tokens.len() > CONTEXT {
                self.drop_forks();
                self.session.cache().truncate(first, 0).unwrap();
            }
            if mode == Mode::Fork && step % 20 == 0 {
                self.drop_forks();
                self.sequences.push(self.session.cache().fork(first).unwrap());
            }
            let span =
                |&sequence| Span { sequence, input: Input::Tokens(tokens), want: Want::Last };
            let spans: Vec<_> = self.sequences.iter().map(span).collect();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            self.session.run(&Step { spans: &spans }, &mut self.outputs).unwrap();
            self.counted += ALLOCATIONS.load(Ordering::Relaxed) - before;
        }
    }

    fn drop_forks(&mut self) {
        self.sequences.drain(1..).for_each(|fork| self.session.cache().remove(fork));
    }

    /// What `STEPS` steps allocate once everything was used before.
    fn warm(mut self, mode: Mode) -> usize {
        self.take(mode, WARM);
        self.counted = 0;
        self.take(mode, STEPS);
        self.counted
    }
}

fn options() -> SessionOptions {
    SessionOptions {
        context: CONTEXT,
        chunk: 32,
        sequences: 2,
        page_tokens: 16,
        ..Default::default()
    }
}

fn format(keys: CacheFormat, values: CacheFormat) -> SessionOptions {
    SessionOptions { cache_type_k: keys, cache_type_v: values, ..options() }
}

/// A part of the cache may be in memory.
fn spilling(path: &str, folder: &Path) -> Option<SessionOptions> {
    let file = open_with(&shared(path)?, &OpenOptions { tokenizer: false }).unwrap();
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let plain = backend.plan(&file.model, &CompileOptions::default(), &options()).unwrap();
    let spill = Some(folder.to_owned());
    let tiers = Tiers { budget: Some(plain.cache * 7 / 8), spill, cold: None };
    Some(SessionOptions { tiers, ..options() })
}

fn main() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(Box::new(before));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before, "allocations are counted");

    let llama = "fixtures/hf/llama-gqa";
    let folder = tempfile::tempdir().unwrap();
    let mut cases = vec![
        (llama, "f16", options()),
        ("fixtures/hf/gemma3", "windows", options()),
        ("fixtures/hf/deepseek-v3-mla-moe", "latents", options()),
        ("fixtures/gguf-blocks/q4_k_m.gguf", "q4_k weights", options()),
        (llama, "q8_0", format(CacheFormat::Q8_0, CacheFormat::Q8_0)),
        (llama, "q4_0h", format(CacheFormat::Q4_0H, CacheFormat::Q4_0)),
    ];
    if let Some(options) = spilling(llama, folder.path()) {
        cases.push((llama, "spilling", options));
    }
    let few = Visibility { attend_pages: Some(2), ..Visibility::default() };
    cases.push((llama, "chosen pages", SessionOptions { visibility: few, ..options() }));
    let window = Visibility { window: Window::Tokens(40), sinks: 4, ..Visibility::default() };
    cases.push((llama, "sinks", SessionOptions { visibility: window, ..options() }));
    for (path, what, options) in cases {
        for mode in [Mode::Decode, Mode::Prefill, Mode::Fork] {
            let Some(steps) = Steps::open(path, &options) else { continue };
            assert_eq!(steps.warm(mode), 0, "{path}, {what}, {mode:?}");
        }
    }
    println!("a warm step allocates nothing ... ok");
}
