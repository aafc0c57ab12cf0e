//! Multiple choice by log-likelihood, as lm-evaluation-harness counts it.

use serde::{Deserialize, Serialize};

use super::{Control, Interval, LogSoftmax, Question, Reader, Subject, run, wilson};
use crate::{Error, Result};

/// How often a model chooses the right end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MultipleChoice {
    /// Share of the questions at which the likeliest end is the right one.
    pub acc: f64,
    /// Its Wilson interval of 95 %.
    pub acc_ci95: Interval,
    /// The same with log-likelihoods divided by the bytes of the ends.
    pub acc_norm: f64,
    /// Its Wilson interval of 95 %.
    pub acc_norm_ci95: Interval,
    /// Questions that were asked.
    pub questions: usize,
}

/// What a question left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Answered {
    right: bool,
    right_norm: bool,
}

impl MultipleChoice {
    fn of(records: &[Answered]) -> Self {
        let count = records.len() as u64;
        let share = |hits: usize| hits as f64 / records.len().max(1) as f64;
        let right = records.iter().filter(|record| record.right).count();
        let right_norm = records.iter().filter(|record| record.right_norm).count();
        Self {
            acc: share(right),
            acc_ci95: wilson(right as u64, count),
            acc_norm: share(right_norm),
            acc_norm_ci95: wilson(right_norm as u64, count),
            questions: records.len(),
        }
    }
}

/// Asks a model all questions. The beginning of a question is read once; its ends fork from it, one
/// at a time: the session needs room for two sequences.
///
/// # Errors
/// If it has none, a question does not fit the context, the session refuses a step, the model computes nonsense,
/// the saved state is of another run, or the run was stopped ([`Error::Interrupted`]).
pub fn answer(
    subject: &Subject,
    questions: &[Question],
    control: &Control<'_>,
) -> Result<MultipleChoice> {
    if subject.session.sequences < 2 {
        let problem = "questions take a session of two sequences: a beginning and one of its ends";
        return Err(Error::Request(problem.into()));
    }
    let texts = questions.iter().flat_map(|question| {
        std::iter::once(&question.context).chain(&question.choices).map(String::as_str)
    });
    let labels: Vec<usize> = questions.iter().map(|question| question.label).collect();
    let bound = [
        run::bound("command", "accuracy of choices"),
        run::bound("--model or way to run it", subject.identity()),
        run::bound("file of questions", &run::identity_of_texts(texts)),
        run::bound("file of questions", &format!("{labels:?}")),
    ];
    let mut reader = Reader::open(&subject.program, &subject.session)?;
    let records = run::each(control, &bound, questions.len(), |index| {
        ask(subject, &mut reader, &questions[index])
    })?;
    Ok(MultipleChoice::of(&records))
}

fn ask(subject: &Subject, reader: &mut Reader, question: &Question) -> Result<Answered> {
    let pairs: Vec<Pair> = question
        .choices
        .iter()
        .map(|choice| Pair::new(subject, &question.context, choice))
        .collect::<Result<_>>()?;
    for pair in &pairs {
        pair.check(subject.session.context, question.line)?;
    }
    let shared = shared(&pairs);
    reader.begin(&pairs[0].tokens[..shared])?;
    let mut scores = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        let tokens = &pair.tokens[shared..pair.tokens.len() - 1];
        // Rows before the last of the context are read on the way, not scored.
        let (mut score, mut before) = (0.0, pair.context - 1 - shared);
        reader.branch(tokens, &pair.tokens[shared + 1..], |logits, next| {
            if before > 0 {
                before -= 1;
                return Ok(());
            }
            score += LogSoftmax::of(logits)?.of_token(next)?;
            Ok(())
        })?;
        scores.push(score);
    }
    let by_bytes = scores.iter().zip(&question.choices);
    let by_bytes: Vec<f64> = by_bytes.map(|(score, end)| score / end.len() as f64).collect();
    Ok(Answered {
        right: likeliest(&scores) == question.label,
        right_norm: likeliest(&by_bytes) == question.label,
    })
}

/// A beginning with one of its ends.
struct Pair {
    tokens: Vec<u32>,
    /// Tokens of the beginning.
    context: usize,
}

impl Pair {
    /// Tokens of a beginning with an end, cut where the tokens of the beginning alone would end. A
    /// space goes between the two unless there is one; it belongs to the end.
    fn new(subject: &Subject, context: &str, choice: &str) -> Result<Self> {
        let beginning = context.trim_end();
        let space = &context[beginning.len()..];
        let space = match choice.starts_with(char::is_whitespace) || !space.is_empty() {
            true => space,
            false => " ",
        };
        let tokens = subject.tokenize(&format!("{beginning}{space}{choice}"))?;
        let alone = subject.tokenize(beginning)?.len();
        // An end needs a token of its own, and a token before it.
        Ok(Self { context: alone.min(tokens.len().saturating_sub(1)), tokens })
    }

    fn check(&self, context: usize, line: usize) -> Result<()> {
        let problem = match self.tokens.len() {
            _ if self.context == 0 => "has no token before its choices: give it a context".into(),
            // The last token is not read.
            tokens if tokens > context + 1 => {
                format!("has {tokens} tokens, the context holds {context}: raise --ctx-size")
            }
            _ => return Ok(()),
        };
        Err(Error::Request(format!("the question of line {line} {problem}")))
    }
}

/// Tokens with which all begin, all of them before the last of their contexts: its logits are
/// scored for every end.
fn shared(pairs: &[Pair]) -> usize {
    let most = pairs.iter().map(|pair| pair.context - 1).min().unwrap_or(0);
    let all_have = |&at: &usize| pairs.iter().all(|pair| pair.tokens[at] == pairs[0].tokens[at]);
    (0..most).take_while(all_have).count()
}

/// The first of the highest.
fn likeliest(scores: &[f64]) -> usize {
    let better =
        |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
    (0..scores.len()).reduce(better).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_ends_before_the_scored_rows() {
        let pair = |tokens: &[u32], context| Pair { tokens: tokens.to_vec(), context };
        assert_eq!(shared(&[pair(&[1, 2, 3, 4], 3), pair(&[1, 2, 3, 5, 6], 3)]), 2);
        assert_eq!(shared(&[pair(&[1, 2, 3, 4], 3), pair(&[1, 9, 3, 5, 6], 3)]), 1);
        assert_eq!(shared(&[pair(&[1, 2], 1), pair(&[1, 3], 1)]), 0);
    }

    #[test]
    fn shares_come_with_intervals() {
        let answered = |right, right_norm| Answered { right, right_norm };
        let records = [answered(true, false), answered(true, false), answered(false, true)];
        let found = MultipleChoice::of(&records);
        assert!(
            (found.acc - 2.0 / 3.0).abs() < 1e-12 && (found.acc_norm - 1.0 / 3.0).abs() < 1e-12
        );
        assert!(found.acc_ci95.low < found.acc && found.acc < found.acc_ci95.high);
        assert_eq!(likeliest(&[-3.0, -1.0, -1.0]), 1);
    }

    #[test]
    fn questions_that_cannot_be_asked_are_told() {
        let told = |tokens: usize, context| {
            let pair = Pair { tokens: vec![0; tokens], context };
            pair.check(8, 3).unwrap_err().to_string()
        };
        assert!(told(10, 4).contains("line 3 has 10 tokens, the context holds 8"));
        assert!(told(2, 0).contains("no token before"));
        assert!(Pair { tokens: vec![0; 9], context: 4 }.check(8, 3).is_ok());
    }
}
