//! Difficulty by what the model would have said itself.

use super::super::judge::{Judge, Watch};
use super::super::ledger::Ledger;
use super::super::options::Band;
use super::super::reason::Reason;
use crate::{Error, Result};

/// Prompts and answers as the model reads them. Records that its template refuses, or that do not
/// fit its context, are dropped.
pub fn prepare(ledger: &mut Ledger<'_>, judge: &mut dyn Judge, watch: &Watch<'_>) -> Result<()> {
    let remaining = ledger.remaining();
    for (done, &index) in remaining.iter().enumerate() {
        watch.step("counting tokens", done, remaining.len())?;
        let record = &ledger.pool().entries[index].record;
        let (prompt, answer) = match record.prompt_and_answer(judge.template()) {
            Ok(texts) => texts,
            Err(error @ (Error::Request(_) | Error::Models(_))) => {
                ledger.drop(index, Reason::Template { problem: error.to_string() });
                continue;
            }
            Err(error) => return Err(error),
        };
        let (tokens, most) = (judge.tokens(&format!("{prompt}{answer}"))?, judge.context());
        // The model may put a mark before the first token.
        if tokens >= most {
            ledger.drop(index, Reason::TooLong { unit: "tokens", length: tokens, most: most - 1 });
            continue;
        }
        let verdict = ledger.verdict(index);
        verdict.scores.tokens = Some(tokens);
        (verdict.prompt, verdict.answer) = (prompt, answer);
    }
    Ok(())
}

/// Measures the loss of every answer, and keeps a band of them where there is one.
///
/// # Errors
/// If the model fails.
pub fn losses(
    ledger: &mut Ledger<'_>,
    band: Option<Band>,
    judge: &mut dyn Judge,
    watch: &Watch<'_>,
) -> Result<()> {
    let remaining = ledger.remaining();
    let (mut measured, mut losses) = (Vec::new(), Vec::new());
    for (done, &index) in remaining.iter().enumerate() {
        watch.step("measuring losses", done, remaining.len())?;
        let verdict = ledger.verdict(index);
        verdict.scores.loss = judge.loss(&verdict.prompt, &verdict.answer)?;
        match verdict.scores.loss {
            Some(loss) => losses.push(loss),
            None => {
                ledger.drop(index, Reason::TooShort { unit: "tokens", length: 1, least: 2 });
                continue;
            }
        }
        measured.push(index);
    }
    let Some(band) = band else { return Ok(()) };
    for ((index, loss), quantile) in measured.into_iter().zip(&losses).zip(quantiles(&losses)) {
        if !(band.low..=band.high).contains(&quantile) {
            ledger.drop(index, Reason::OutsideBand { loss: *loss, quantile });
        }
    }
    Ok(())
}

/// The place of each value among all, from 0 to 1; of equals the earlier is less.
fn quantiles(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    let mut quantiles = vec![0.0; values.len()];
    for (rank, index) in order.into_iter().enumerate() {
        quantiles[index] = (rank as f64 + 0.5) / values.len() as f64;
    }
    quantiles
}

/// Instruction-following difficulty (Li et al. 2024, "From Quantity to Quality", section 2):
/// perplexity of the answer with the question by that without. From 1 on the question does not
/// help, and the record is dropped. Texts have no question and stay, and so
/// do answers of a single token where no token begins texts.
///
/// The paper divides the losses, its successor ("Superfiltering", 2024) the perplexities; both
/// quotients pass 1 at the same records.
///
/// # Errors
/// If the model fails.
pub fn ifd(
    ledger: &mut Ledger<'_>,
    below: f64,
    judge: &mut dyn Judge,
    watch: &Watch<'_>,
) -> Result<()> {
    let remaining = ledger.remaining();
    for (done, &index) in remaining.iter().enumerate() {
        watch.step("measuring without questions", done, remaining.len())?;
        let verdict = ledger.verdict(index);
        let Some(with) = verdict.scores.loss.filter(|_| !verdict.prompt.is_empty()) else {
            continue;
        };
        let Some(without) = judge.loss("", &verdict.answer)? else { continue };
        let ifd = (with - without).exp();
        verdict.scores.ifd = Some(ifd);
        if ifd >= below {
            ledger.drop(index, Reason::QuestionDoesNotHelp { ifd, below });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_places() {
        assert_eq!(quantiles(&[3.0, 1.0, 2.0, 2.0]), [0.875, 0.125, 0.375, 0.625]);
        assert!(quantiles(&[]).is_empty());
    }
}
