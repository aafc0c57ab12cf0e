//! Text that a model writes itself: calibration where there is no text.

use edgeformer_core::{Input, Outputs, SequenceId, SessionOptions, Span, Step, Want};

use super::Told;
use crate::Result;
use crate::engine::sample::Random;
use crate::evaluate::{LogSoftmax, Subject, Windows};

/// Texts that are written at the same time.
const ABREAST: usize = 16;

/// Windows that the model has written: each from the token that begins texts, or from a random one,
/// on with tokens drawn from what it says, at temperature 1 (data-free calibration, as LLM-QAT,
/// arXiv 2305.17888, section 3.1, generates its training data). The same seed gives the same text.
///
/// # Errors
/// If the model refuses a step.
pub fn own_text(subject: &Subject, count: usize, seed: u64, told: Told<'_>) -> Result<Windows> {
    let context = subject.session.context;
    let sequences = ABREAST.min(count.max(1));
    let options = SessionOptions {
        sequences,
        chunk: sequences,
        output_rows: sequences,
        ..subject.session.clone()
    };
    let mut session = subject.program.clone().open(&options)?;
    let mut random = Random::seeded(seed);
    let mut outputs = Outputs::default();
    let mut tokens = Vec::with_capacity(count * context);
    let batches = count.div_ceil(sequences);
    for batch in 0..batches {
        let opened = (0..sequences).map(|_| session.cache().create());
        let open: Vec<SequenceId> = opened.collect::<edgeformer_core::Result<_>>()?;
        let mut texts: Vec<Vec<u32>> =
            open.iter().map(|_| vec![first(subject, &mut random)]).collect();
        for written in 1..context {
            told.go_on()?;
            let spans: Vec<Span<'_>> = open
                .iter()
                .zip(&texts)
                .map(|(&sequence, text)| {
                    let last = &text[text.len() - 1..];
                    Span { sequence, input: Input::Tokens(last), want: Want::Last }
                })
                .collect();
            session.run(&Step { spans: &spans }, &mut outputs)?;
            for (text, logits) in texts.iter_mut().zip(outputs.rows().iter()) {
                text.push(draw(logits, &mut random)?);
            }
            let done = batch * context + written + 1;
            (told.progress)(
                "writing text to calibrate with",
                done as u64,
                (batches * context) as u64,
            );
        }
        open.into_iter().for_each(|sequence| session.cache().remove(sequence));
        tokens.extend(texts.into_iter().flatten());
    }
    tokens.truncate(count * context);
    Windows::new(&tokens, context, subject.beginning())
}

fn first(subject: &Subject, random: &mut Random) -> u32 {
    let any = || (random.unit() * subject.vocabulary() as f64) as u32;
    subject.beginning().unwrap_or_else(any)
}

/// A token, each as likely as the model says.
fn draw(logits: &[f32], random: &mut Random) -> Result<u32> {
    let says = LogSoftmax::of(logits)?;
    let mut left = random.unit();
    for token in 0..logits.len() as u32 {
        left -= says.of_token(token)?.exp();
        if left < 0.0 {
            return Ok(token);
        }
    }
    // Rounding left a little: the likeliest.
    Ok(says.top() as u32)
}
