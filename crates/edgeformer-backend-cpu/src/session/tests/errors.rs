//! Steps that cannot run say why, and change nothing.

use super::models::{Parts, decoder};
use super::*;
use crate::kernels::{Isa, Kernels};
use crate::program::{CpuProgram, Threads};
use crate::session::CpuSession;

fn refused(session: &mut dyn Session, spans: &[Span<'_>]) -> String {
    session.run(&Step { spans }, &mut Outputs::default()).unwrap_err().to_string()
}

#[test]
fn a_bad_step_is_refused_in_one_line() {
    let model = decoder(Parts::ALL[0]);
    let mut session = open(&model, 2, &SessionOptions { output_rows: 4, ..options() });
    let a = session.cache().create().unwrap();
    let b = session.cache().create().unwrap();
    let session = session.as_mut();
    session
        .run(&Step { spans: &[text(a, &[1, 2, 3], Want::Nothing)] }, &mut Outputs::default())
        .unwrap();

    insta::assert_snapshot!(refused(session, &[]), @"step: it has no span");
    insta::assert_snapshot!(refused(session, &[text(a, &[], Want::Last)]), @"step: sequence 0 gets no token");
    insta::assert_snapshot!(
        refused(session, &[text(b, &[1], Want::Last), text(a, &[1, 48], Want::Last)]),
        @"token id 48 is outside the vocabulary of 48 tokens"
    );
    insta::assert_snapshot!(
        refused(session, &[text(a, &[1], Want::Last), text(a, &[2], Want::Last)]),
        @"step: sequence 0 is in two spans of one step"
    );
    insta::assert_snapshot!(
        refused(session, &[text(SequenceId(9), &[1], Want::Last)]),
        @"sequence 9 is not in the cache: it was removed or never created"
    );
    insta::assert_snapshot!(
        refused(session, &[text(a, &[1; 20], Want::Last), text(b, &[1; 13], Want::Last)]),
        @"step: it has 33 tokens in 2 spans, the session's chunk holds 32: split it, or open the session with a longer chunk"
    );
    insta::assert_snapshot!(
        refused(session, &[text(a, &[1; 5], Want::All)]),
        @"step: 5 output rows are wanted, the session was opened for 4: ask for fewer, or open it with more output rows"
    );
    let pixels = Span { sequence: a, input: Input::Pixels(&[0.0; 4]), want: Want::All };
    insta::assert_snapshot!(refused(session, &[pixels]), @"step: the input of sequence 0 is not what the model takes: tokens(vocabulary 48, context 64)");
    assert_eq!((session.cache().len(a), session.cache().len(b)), (3, 0));
}

#[test]
fn the_end_of_the_context_is_an_error() {
    let model = decoder(Parts::ALL[0]);
    let mut session = open(&model, 1, &options());
    let a = session.cache().create().unwrap();
    for _ in 0..2 {
        let spans = [text(a, &[1; 31], Want::Nothing)];
        session.run(&Step { spans: &spans }, &mut Outputs::default()).unwrap();
    }
    insta::assert_snapshot!(
        refused(session.as_mut(), &[text(a, &[1; 3], Want::Last)]),
        @"sequence 0 would hold 65 tokens, the session was opened for 64: raise the context length or shorten the input"
    );
    assert_eq!(session.cache().len(a), 62);
}

#[test]
fn the_end_of_the_position_table_is_an_error() {
    let model = decoder(Parts::ALL[0]);
    let mut session = open(&model, 1, &SessionOptions { context: 100, chunk: 100, ..options() });
    let a = session.cache().create().unwrap();
    insta::assert_snapshot!(
        refused(session.as_mut(), &[text(a, &[1; 69], Want::Last)]),
        @"step: sequence 0 would reach position 68, the model knows 68: shorten the input"
    );
}

#[test]
fn options_that_fit_nothing_are_refused() {
    let model = decoder(Parts::ALL[0]);
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let compile = |threads| CompileOptions { threads, ..CompileOptions::default() };
    assert!(backend.compile(model.clone(), &compile(Some(0))).is_err());
    let other = CompileOptions { device: "cuda:0".into(), ..CompileOptions::default() };
    assert!(backend.compile(model.clone(), &other).is_err());
    let program = backend.compile(model, &compile(Some(1))).unwrap();
    assert!(program.clone().open(&SessionOptions { chunk: 0, ..options() }).is_err());
    let huge = SessionOptions { chunk: 1 << 50, ..options() };
    assert!(program.open(&huge).is_err());
}

#[test]
fn a_step_after_one_that_panicked_starts_afresh() {
    let model = decoder(Parts::ALL[0]);
    let expected = forward(open(&model, 2, &options()).as_mut(), Input::Tokens(&[1, 2, 3]));
    let program = CpuProgram::new(
        model,
        Kernels::for_isa(Isa::best()),
        Threads::all(2),
        &CompileOptions::default(),
    )
    .unwrap();
    let mut session = CpuSession::new(Arc::new(program), &options()).unwrap();
    let sequence = session.cache().create().unwrap();
    session.cache.pages.reserve(&[(sequence, 4)]).unwrap();
    session.buffers.iter_mut().for_each(|buffer| *buffer = Vec::new());
    session.interrupted = true;
    assert_eq!(forward(&mut session, Input::Tokens(&[1, 2, 3])), expected);
    assert_eq!(session.cache().len(sequence), 0);
}

#[test]
fn unknown_instruction_sets_are_named() {
    let error = CpuBackend::new(&CpuOptions { isa: Some("avx3".into()) }).unwrap_err();
    assert!(error.to_string().contains("avx3"), "{error}");
}
