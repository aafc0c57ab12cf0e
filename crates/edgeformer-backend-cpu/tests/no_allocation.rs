//! A warm step allocates nothing, on any thread. One test alone, so that nobody else allocates.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use edgeformer_backend_cpu::{CpuBackend, CpuOptions};
use edgeformer_conformance::shared;
use edgeformer_core::{Backend, CompileOptions, Input, Outputs, SessionOptions, Span, Step, Want};
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

/// Allocations of warm steps of several shapes.
fn allocations(path: &str) -> Option<usize> {
    let file = open_with(&shared(path)?, &OpenOptions { tokenizer: false }).unwrap();
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let compile = CompileOptions { threads: Some(2), ..CompileOptions::default() };
    let program = backend.compile(file.model, &compile).unwrap();
    let options = SessionOptions { context: 256, chunk: 32, sequences: 2, ..Default::default() };
    let mut session = program.open(&options).unwrap();
    let ids = [0; 2].map(|_| session.cache().create().unwrap());
    let mut outputs = Outputs::default();
    // Workers may still be starting, which allocates: what a step does, every try would show.
    let tries = (0..5).map(|_| {
        ids.iter().for_each(|&sequence| session.cache().truncate(sequence, 0).unwrap());
        let mut round = || {
            for (count, want) in [(9, Want::All), (1, Want::Last), (4, Want::Nothing)] {
                let spans = ids.map(|sequence| Span {
                    sequence,
                    input: Input::Tokens(&[1, 2, 3, 4, 5, 6, 7, 8, 9][..count]),
                    want,
                });
                session.run(&Step { spans: &spans }, &mut outputs).unwrap();
            }
        };
        round();
        // Three rounds are 42 tokens: the first page of each sequence holds them.
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        round();
        round();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    tries.min()
}

#[test]
fn a_warm_step_allocates_nothing() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(Box::new(before));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before, "allocations are counted");
    for path in [
        "fixtures/hf/llama-gqa",
        "fixtures/hf/gemma3",
        "fixtures/hf/deepseek-v3-mla-moe",
        "fixtures/gguf-blocks/q4_k_m.gguf",
    ] {
        if let Some(count) = allocations(path) {
            assert_eq!(count, 0, "{path}");
        }
    }
}
