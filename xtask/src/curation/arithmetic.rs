//! Sums of numbers of several digits, with their working.

use std::collections::BTreeSet;

use edgeformer_core::random::Random;

use super::pool::Record;

/// What numbers are for.
const TERMS: u64 = 11;
const FACTS: u64 = 12;

/// So many different sums of two numbers of two or three digits.
pub fn sums(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random::of(seed, &[TERMS]);
    let mut seen = BTreeSet::new();
    let mut sums = Vec::with_capacity(count);
    while sums.len() < count {
        let terms = [(); 2].map(|()| 10 + random.below(990));
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

/// What a model may know before it learns to add: sums of digits and a carry, in any order.
pub fn facts(lines: usize, seed: u64) -> String {
    let mut random = Random::of(seed, &[FACTS]);
    let fact = |_| {
        let [x, y, carried] = [10, 10, 2].map(|limit| random.below(limit));
        format!("{x}+{y}+{carried}={}\n", x + y + carried)
    };
    (0..lines).map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_worked_digit_by_digit() {
        let record = worked([47, 185]);
        assert_eq!(record.question, "47+185=?");
        assert_eq!(record.answer, "7+5+0=12\n4+8+1=13\n0+1+1=2\n#### 232");
    }

    #[test]
    fn no_sum_comes_twice() {
        let sums = sums(500, 1);
        let different: BTreeSet<&str> = sums.iter().map(|sum| sum.question.as_str()).collect();
        assert_eq!(different.len(), 500);
    }
}
