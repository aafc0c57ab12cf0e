//! A token's logits depend on its own sequence alone.

use edgeformer_core::{LatentForm, Outputs, Session, SessionOptions, Step, Want};

use super::models::{Parts, VOCABULARY, decoder, long_decoder};
use super::*;
use crate::kernels::Isa;
use crate::program::SPLIT;

fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|i| (i * 17 + seed * 5 + i * i) % VOCABULARY as u32).collect()
}

/// All logits of `tokens`, fed in chunks.
fn in_chunks(session: &mut dyn Session, tokens: &[u32], chunk: usize) -> Vec<f32> {
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let mut all = Vec::new();
    for part in tokens.chunks(chunk) {
        let spans = [text(sequence, part, Want::All)];
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        all.extend_from_slice(outputs.rows().data());
    }
    assert_eq!(session.cache().len(sequence), tokens.len());
    session.cache().remove(sequence);
    all
}

/// The forms of latent attention round differently: bits are the same within one.
const FORMS: [LatentForm; 2] = [LatentForm::Absorbed, LatentForm::Expanded];

fn both_caches() -> [SessionOptions; 2] {
    let half = SessionOptions {
        cache_type_k: CacheFormat::F16,
        cache_type_v: CacheFormat::F16,
        page_tokens: 7,
        ..options()
    };
    [options(), half]
}

/// Miniature models, caches, and the forms that matter to the model.
fn cases() -> impl Iterator<Item = (Parts, SessionOptions, LatentForm)> {
    let forms = |parts: Parts| FORMS.into_iter().take(if parts.latent { 2 } else { 1 });
    Parts::ALL.into_iter().flat_map(move |parts| {
        let with_cache = move |options: SessionOptions| {
            forms(parts).map(move |form| (parts, options.clone(), form))
        };
        both_caches().into_iter().flat_map(with_cache)
    })
}

/// The tables that sessions run with: all, but on ARM the best stands for those that it begins with.
/// They give the same bits, as a test of their kernels shows, and emulation takes its time; plain
/// Rust is tested elsewhere.
fn isas() -> impl Iterator<Item = &'static str> {
    let is_covered = |isa: &Isa| cfg!(target_arch = "aarch64") && *isa != Isa::best();
    Isa::available().into_iter().filter(move |isa| !is_covered(isa)).map(Isa::name)
}

#[test]
fn threads_and_chunks_change_no_bit() {
    let tokens = tokens(27, 1);
    for isa in isas() {
        for (parts, options, form) in cases() {
            let model = decoder(parts);
            let options = SessionOptions { latent_form: form, ..options };
            let open = |threads| open_with(Some(isa), &model, threads, &options);
            let expected = in_chunks(open(1).as_mut(), &tokens, 27);
            assert!(expected.iter().all(|logit| logit.is_finite()));
            for threads in [1, 2, 5] {
                let mut session = open(threads);
                for chunk in [1, 3, 7, 27] {
                    let got = in_chunks(session.as_mut(), &tokens, chunk);
                    assert!(
                        got == expected,
                        "{isa}, {parts:?}, {threads} threads, {chunk} a chunk"
                    );
                }
            }
        }
    }
}

/// The logits of `answer`, fed in chunks behind a prompt.
fn behind_prompt(
    session: &mut dyn Session,
    (prompt, answer): (&[u32], &[u32]),
    chunk: usize,
) -> Vec<f32> {
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let spans = [text(sequence, prompt, Want::Nothing)];
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    let mut all = Vec::new();
    for part in answer.chunks(chunk) {
        let spans = [text(sequence, part, Want::All)];
        session.run(&Step { spans: &spans }, &mut outputs).unwrap();
        all.extend_from_slice(outputs.rows().data());
    }
    all
}

#[test]
fn sharing_a_context_changes_no_bit() {
    // So long that even a single row is worth sharing.
    let tokens = tokens(4 * SPLIT + 20, 1);
    let (prompt, answer) = tokens.split_at(4 * SPLIT - 4);
    // Minutes each under emulation.
    let settings: &[(usize, usize)] = match cfg!(target_arch = "aarch64") {
        true => &[(2, 1)],
        false => &[(1, 1), (2, 1), (3, 2), (5, 3)],
    };
    for isa in isas() {
        for (parts, options, form) in cases().filter(|(parts, ..)| !parts.experts) {
            let model = long_decoder(parts);
            let (context, chunk) = (tokens.len(), tokens.len());
            let options =
                SessionOptions { latent_form: form, context, chunk, output_rows: chunk, ..options };
            let mut alone = open_with(Some(isa), &model, 1, &options);
            let expected = in_chunks(alone.as_mut(), &tokens, chunk);
            for &(threads, chunk) in settings {
                let mut session = open_with(Some(isa), &model, threads, &options);
                let got = behind_prompt(session.as_mut(), (prompt, answer), chunk);
                assert!(
                    got == expected[prompt.len() * VOCABULARY..],
                    "{isa}, {parts:?}, {form:?}, {threads} threads, {chunk} a chunk"
                );
            }
        }
    }
}

#[test]
fn companions_change_no_bit() {
    for (parts, options, form) in cases() {
        let model = decoder(parts);
        let options = SessionOptions { latent_form: form, ..options };
        let (a, b, c) = (tokens(9, 1), tokens(13, 2), tokens(4, 3));
        let mut alone = open(&model, 1, &options);
        let [la, lb, lc] = [&a, &b, &c].map(|tokens| in_chunks(alone.as_mut(), tokens, 32));

        let mut session = open(&model, 2, &options);
        let ids = [0; 3].map(|_| session.cache().create().unwrap());
        let mut outputs = Outputs::default();
        let first = [text(ids[0], &a[..6], Want::Nothing), text(ids[1], &b, Want::All)];
        session.run(&Step { spans: &first }, &mut outputs).unwrap();
        assert!(outputs.span(0).is_empty());
        assert!(outputs.span(1).data() == lb, "{parts:?}");

        let second = [text(ids[2], &c, Want::Last), text(ids[0], &a[6..], Want::All)];
        session.run(&Step { spans: &second }, &mut outputs).unwrap();
        assert!(outputs.span(0).data() == &lc[3 * VOCABULARY..], "{parts:?}");
        assert!(outputs.span(1).data() == &la[6 * VOCABULARY..], "{parts:?}");
    }
}

#[test]
fn sessions_of_one_program_run_at_the_same_time() {
    let model = decoder(Parts::ALL[0]);
    let backend = CpuBackend::new(&CpuOptions::default()).unwrap();
    let compile = CompileOptions { threads: Some(3), ..CompileOptions::default() };
    let program = backend.compile(model, &compile).unwrap();
    let tokens = tokens(20, 4);
    let expected = in_chunks(program.clone().open(&options()).unwrap().as_mut(), &tokens, 5);
    std::thread::scope(|scope| {
        for chunk in [1, 2, 20] {
            let (program, tokens, expected) = (program.clone(), &tokens, &expected);
            scope.spawn(move || {
                let mut session = program.open(&options()).unwrap();
                assert!(in_chunks(session.as_mut(), tokens, chunk) == *expected);
            });
        }
    });
}

#[test]
fn a_truncated_sequence_goes_on_as_if_it_had_never_been_longer() {
    let model = decoder(Parts::ALL[0]);
    let mut session = open(&model, 2, &options());
    let tokens = tokens(12, 6);
    let expected = in_chunks(session.as_mut(), &tokens, 12);
    let sequence = session.cache().create().unwrap();
    let mut outputs = Outputs::default();
    let spans = [text(sequence, &[3; 12], Want::Nothing)];
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    session.cache().truncate(sequence, 0).unwrap();
    let spans = [text(sequence, &tokens, Want::Last)];
    session.run(&Step { spans: &spans }, &mut outputs).unwrap();
    assert!(outputs.rows().data() == &expected[11 * VOCABULARY..]);
}
