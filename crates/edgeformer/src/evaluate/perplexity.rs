use std::f64::consts::LN_2;

use serde::Serialize;

use super::{Control, Cut, LogSoftmax, Moments, Reader, Subject, Window, Windows, run};
use crate::Result;

/// How surprised a model is by a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Perplexity {
    /// `exp` of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Its standard error, the tokens taken as independent: what llama.cpp writes behind `+/-`.
    pub perplexity_error: f64,
    /// Tokens that were scored.
    pub tokens: u64,
    /// Windows that were read.
    pub chunks: usize,
    /// Tokens of a window.
    pub ctx_size: usize,
    /// Tokens from a window to the next, where they overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Mean negative log-likelihood of a token, in nats.
    pub nll: f64,
    /// Negative log-likelihood of a byte of text, in bits, which does not depend on how a vocabulary
    /// cuts text; `None` where tokens have no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
}

impl Perplexity {
    fn of(records: &[Moments], windows: &Windows, bytes: Option<usize>) -> Self {
        let mut all = Moments::default();
        records.iter().for_each(|record| all.merge(record));
        let (perplexity, perplexity_error) = exponential(&all);
        let stride = match windows.cut() {
            Cut::Halves => None,
            Cut::Sliding { stride } => Some(stride),
        };
        Self {
            perplexity,
            perplexity_error,
            tokens: all.count(),
            chunks: records.len(),
            ctx_size: windows.context(),
            stride,
            nll: all.mean(),
            bits_per_byte: bytes.map(|bytes| all.mean() * all.count() as f64 / bytes as f64 / LN_2),
        }
    }
}

/// Perplexity and its standard error, to first order.
pub(super) fn exponential(nll: &Moments) -> (f64, f64) {
    let perplexity = nll.mean().exp();
    (perplexity, perplexity * nll.standard_error())
}

/// Perplexity of a model on a text.
///
/// # Errors
/// If the session refuses a step, the model computes nonsense, the saved state is of another run,
/// or the run was stopped ([`Error::Interrupted`](crate::Error::Interrupted)).
pub fn perplexity(
    subject: &Subject,
    windows: &Windows,
    control: &Control<'_>,
) -> Result<Perplexity> {
    let bound = [
        run::bound("command", "perplexity"),
        run::bound("--model or way to run it", subject.identity()),
        run::bound("--chunks", &windows.count().to_string()),
        run::bound("text or windows", &run::identity_of(windows)),
    ];
    let mut reader = Reader::open(&subject.program, &subject.session)?;
    let records = run::each(control, &bound, windows.count(), |index| {
        let mut nll = Moments::default();
        reader.follow(&windows.window(index), |logits, next| {
            nll.add(-LogSoftmax::of(logits)?.of_token(next)?);
            Ok(())
        })?;
        Ok(nll)
    })?;
    Ok(Perplexity::of(&records, windows, scored_bytes(subject, windows)))
}

/// Bytes of the text that is scored, where it has any.
fn scored_bytes(subject: &Subject, windows: &Windows) -> Option<usize> {
    let tokenizer = subject.tokenizer().ok()?;
    let of_window = |window: Window<'_>| -> usize {
        window.next().iter().map(|&token| tokenizer.token_bytes(token).len()).sum()
    };
    Some(windows.iter().map(of_window).sum()).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_counted_as_llama_cpp_counts_it() {
        // Its final lines: nll2 = sqrt((nll2/count - mean^2) / (count - 1)), times perplexity.
        let nll: [f64; 5] = [1.0, 2.0, 2.5, 0.5, 3.0];
        let (mut first, mut second) = (Moments::default(), Moments::default());
        nll[..2].iter().for_each(|&nll| first.add(nll));
        nll[2..].iter().for_each(|&nll| second.add(nll));
        let windows = Windows::new(&[1; 8], 4, None).unwrap();
        let found = Perplexity::of(&[first, second], &windows, Some(18));
        let (sum, squares): (f64, f64) = (nll.iter().sum(), nll.iter().map(|nll| nll * nll).sum());
        let mean = sum / 5.0;
        let expected = ((squares / 5.0 - mean * mean) / 4.0).sqrt() * mean.exp();
        assert!((found.perplexity - mean.exp()).abs() < 1e-12);
        assert!((found.perplexity_error - expected).abs() < 1e-12);
        assert_eq!((found.tokens, found.chunks, found.ctx_size), (5, 2, 4));
        // 9 nats in 18 bytes.
        assert!((found.bits_per_byte.unwrap() - 0.5 / LN_2).abs() < 1e-12);
    }
}
