//! Sums of numbers of two digits, with their working.

use std::collections::BTreeSet;

use edgeformer_core::random::Random;

use super::pool::Record;

/// What numbers are for.
const TERMS: u64 = 11;
const TOLD: u64 = 12;

/// So many different sums of two numbers of two digits: at most the 8100 that there are.
pub fn sums(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::of(seed, &[TERMS]);
    let mut seen = BTreeSet::new();
    let mut sums = Vec::with_capacity(count);
    while sums.len() < count {
        let terms = [(); 2].map(|()| 10 + random.below(90));
        if seen.insert(terms) {
            sums.push(worked(terms));
        }
    }
    sums
}

/// A sum, worked from the last digit on: every step adds two digits and what was carried.
fn worked([a, b]: [usize; 2]) -> Record {
    let (mut answer, mut carried) = (String::new(), 0);
    let (mut left, mut right) = (a, b);
    while left + right > 0 {
        let (x, y) = (left % 10, right % 10);
        let sum = x + y + carried;
        answer.push_str(&format!("{x}+{y}+{carried}={sum}\n"));
        carried = sum / 10;
        (left, right) = (left / 10, right / 10);
    }
    answer.push_str(&format!("#### {}", a + b));
    Record { question: format!("{a}+{b}=?"), answer }
}

/// What a model may know before: how to add, but not how the answer is to be written. Ten sums a
/// text.
pub fn told(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::of(seed, &[TOLD]);
    let tell = |_| {
        let Record { question, answer } = worked([(); 2].map(|()| 10 + random.below(90)));
        format!(
            "Question: {question}\nAnswer: {}.",
            answer.replace("\n#### ", ", so ").replace('\n', ", ")
        )
    };
    let told: Vec<String> = (0..count).map(tell).collect();
    told.chunks(10).map(|texts| texts.join("\n\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_worked_digit_by_digit() {
        let record = worked([47, 85]);
        assert_eq!(record.question, "47+85=?");
        assert_eq!(record.answer, "7+5+0=12\n4+8+1=13\n#### 132");
    }

    #[test]
    fn what_is_known_is_written_otherwise() {
        let told = told(30, 5);
        assert_eq!(told.len(), 3);
        let (first, _) = told[0].split_once("\n\n").unwrap();
        let (terms, rest) = first.split_once("=?\nAnswer: ").unwrap();
        let terms = terms.strip_prefix("Question: ").unwrap();
        let terms: Vec<usize> = terms.split('+').map(|term| term.parse().unwrap()).collect();
        assert!(rest.ends_with(&format!(", so {}.", terms[0] + terms[1])), "{first}");
    }

    #[test]
    fn no_sum_comes_twice() {
        let sums = sums(500, 1);
        let different: BTreeSet<&str> = sums.iter().map(|sum| sum.question.as_str()).collect();
        assert_eq!(different.len(), 500);
    }
}
