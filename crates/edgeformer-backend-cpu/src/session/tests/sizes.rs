//! What is planned is what is allocated.

use edgeformer_core::Program;

use super::models::{Parts, decoder};
use super::*;
use crate::kernels::{Isa, Kernels};
use crate::program::{CpuProgram, Threads};
use crate::session::CpuSession;

#[test]
fn the_plan_is_what_a_session_allocates() {
    for parts in Parts::ALL {
        for (chunk, output_rows, threads) in [(1, 1, 1), (32, 1, 2), (20, 500, 3)] {
            let options = SessionOptions { chunk, output_rows, ..options() };
            let model = decoder(parts);
            let program = CpuProgram::new(
                model.clone(),
                Kernels::for_isa(Isa::best()),
                Threads::all(threads),
                &CompileOptions::default(),
            )
            .unwrap();
            let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
            let compile = CompileOptions { threads: Some(threads), ..CompileOptions::default() };
            let planned = backend.plan(&model, &compile, &options).unwrap();
            assert_eq!(planned, program.footprint(&options), "{parts:?}");
            let session = CpuSession::new(Arc::new(program), &options).unwrap();
            assert_eq!(planned.scratch, session.scratch_bytes(), "{parts:?} {options:?}");
        }
    }
}

#[test]
fn weights_are_counted_once_and_what_is_decoded_besides() {
    let model = decoder(Parts::ALL[0]);
    let mapped: u64 = model.weights.iter().map(|(_, weight)| weight.byte_len() as u64).sum();
    let vectors: u64 = model
        .weights
        .iter()
        .filter(|(_, weight)| weight.shape().len() == 1)
        .map(|(_, weight)| weight.byte_len() as u64)
        .sum();
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let planned = backend.plan(&model, &CompileOptions::default(), &options()).unwrap();
    assert_eq!(planned.weights, mapped + vectors);
}

#[test]
fn a_longer_chunk_takes_more_scratch_and_no_more_cache() {
    let model = decoder(Parts::ALL[0]);
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let plan = |chunk| {
        let options = SessionOptions { chunk, ..options() };
        backend.plan(&model, &CompileOptions::default(), &options).unwrap()
    };
    let (short, long) = (plan(8), plan(16));
    assert!(long.scratch > short.scratch);
    assert_eq!(long.cache, short.cache);
}

#[test]
fn a_warm_step_moves_no_buffer() {
    let model = decoder(Parts::ALL[2]);
    let program = CpuProgram::new(
        model,
        Kernels::for_isa(Isa::best()),
        Threads::all(2),
        &CompileOptions::default(),
    )
    .unwrap();
    let mut session = CpuSession::new(Arc::new(program), &options()).unwrap();
    let places = |session: &CpuSession| {
        let buffers = session.buffers.iter().map(|buffer| (buffer.as_ptr(), buffer.capacity()));
        let quantized = session.scratch.quantized.buffer.allocated();
        (buffers.collect::<Vec<_>>(), quantized)
    };
    let before = places(&session);
    for count in [32, 1, 7] {
        forward(&mut session, Input::Tokens(&vec![5; count]));
    }
    assert_eq!(places(&session), before);
}
