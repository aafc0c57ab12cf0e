//! Sessions over small graphs made by hand.

mod by_hand;
mod errors;
mod models;
mod observe;
mod packed;
mod random;
mod same_bits;
mod sizes;

use std::sync::Arc;

use edgeformer_core::{
    Backend, CacheFormat, CompileOptions, Input, Model, Outputs, SequenceId, Session,
    SessionOptions, Span, Step, Want,
};

use crate::{CpuBackend, CpuOptions};

fn options() -> SessionOptions {
    SessionOptions {
        context: 64,
        sequences: 4,
        chunk: 32,
        output_rows: 32,
        cache_type_k: CacheFormat::F32,
        cache_type_v: CacheFormat::F32,
        page_tokens: 4,
        ..SessionOptions::default()
    }
}

fn open(model: &Arc<Model>, threads: usize, options: &SessionOptions) -> Box<dyn Session> {
    open_with(None, model, threads, options)
}

/// [`open`], with the kernels of an instruction set.
fn open_with(
    isa: Option<&str>,
    model: &Arc<Model>,
    threads: usize,
    options: &SessionOptions,
) -> Box<dyn Session> {
    let backend = CpuBackend::new(&CpuOptions { isa: isa.map(str::to_owned) }).unwrap();
    let compile = CompileOptions { threads: Some(threads), ..CompileOptions::default() };
    backend.compile(model.clone(), &compile).unwrap().open(options).unwrap()
}

/// One span of text.
fn text(sequence: SequenceId, tokens: &[u32], want: Want) -> Span<'_> {
    Span { sequence, input: Input::Tokens(tokens), want }
}

/// The output rows of one span in a new sequence.
fn forward(session: &mut dyn Session, input: Input<'_>) -> Vec<f32> {
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let spans = [Span { sequence, input, want: Want::All }];
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    session.cache().remove(sequence);
    outputs.rows().data().to_vec()
}
