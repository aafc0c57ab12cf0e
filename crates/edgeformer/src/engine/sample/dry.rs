use std::collections::HashMap;

use super::Candidate;
use super::options::{self, recent};

/// The DRY penalty over a sequence.
#[derive(Debug, Clone)]
pub(super) struct Dry {
    options: options::Dry,
    /// Tokens that end a repetition: line ends, colons, quotes, asterisks.
    breakers: Vec<u32>,
}

/// Beyond this, `base^length` overflows for the usual bases.
const MAX_EXPONENT: i32 = 128;

impl Dry {
    pub fn new(options: options::Dry, mut breakers: Vec<u32>) -> Self {
        breakers.sort_unstable();
        Self { options, breakers }
    }

    /// Lowers the logits of tokens that would lengthen a repetition. `candidates` are in token order.
    pub fn apply(&self, history: &[u32], candidates: &mut [Candidate]) {
        for (token, length) in self.repetitions(recent(history, self.options.last_n)) {
            let over = length.saturating_sub(self.options.allowed_length);
            if length < self.options.allowed_length {
                continue;
            }
            let exponent = i32::try_from(over).unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
            if let Some(candidate) = candidates.get_mut(token as usize) {
                candidate.logit -= self.options.multiplier * self.options.base.powi(exponent);
            }
        }
    }

    /// Each token that followed an earlier occurrence of what the text ends with, and how long
    /// the longest such ending is.
    fn repetitions(&self, text: &[u32]) -> HashMap<u32, usize> {
        let mut found = HashMap::new();
        let tail = text.iter().rev().take_while(|token| !self.is_breaker(**token)).count();
        let suffixes = suffix_matches(text);
        for (end, &matched) in suffixes.iter().enumerate().take(text.len().saturating_sub(1)) {
            let next = text[end + 1];
            let length = matched.min(tail);
            if length > 0 && !self.is_breaker(next) {
                let longest = found.entry(next).or_insert(0);
                *longest = length.max(*longest);
            }
        }
        found
    }

    fn is_breaker(&self, token: u32) -> bool {
        self.breakers.binary_search(&token).is_ok()
    }
}

/// For every position, how many tokens that end there equal the text's last tokens: the
/// Z-function of the reversed text, in linear time (Gusfield, "Algorithms on Strings", 1.4).
fn suffix_matches(text: &[u32]) -> Vec<usize> {
    let n = text.len();
    let at = |index: usize| text[n - 1 - index];
    let mut z = vec![n; n];
    let (mut left, mut right) = (0, 0);
    for i in 1..n {
        let mut length = if i < right { z[i - left].min(right - i) } else { 0 };
        while i + length < n && at(length) == at(i + length) {
            length += 1;
        }
        if i + length > right {
            (left, right) = (i, i + length);
        }
        z[i] = length;
    }
    z.reverse();
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dry(breakers: &[u32]) -> Dry {
        let options = options::Dry { multiplier: 1.0, base: 2.0, allowed_length: 2, last_n: -1 };
        Dry::new(options, breakers.to_vec())
    }

    fn penalty(dry: &Dry, text: &[u32], token: u32) -> f32 {
        let mut candidates: Vec<_> = (0..10).map(|token| Candidate { token, logit: 0.0 }).collect();
        dry.apply(text, &mut candidates);
        -candidates[token as usize].logit
    }

    #[test]
    fn the_penalty_grows_with_the_repetition() {
        assert_eq!(penalty(&dry(&[]), &[2, 3, 9, 3], 9), 0.0);
        assert_eq!(penalty(&dry(&[]), &[1, 2, 3, 9, 2, 3], 9), 1.0);
        assert_eq!(penalty(&dry(&[]), &[1, 2, 3, 9, 1, 2, 3], 9), 2.0);
        assert_eq!(penalty(&dry(&[]), &[1, 2, 3, 9, 1, 2, 3], 8), 0.0);
    }

    #[test]
    fn breakers_end_repetitions() {
        assert_eq!(penalty(&dry(&[2]), &[1, 2, 3, 9, 1, 2, 3], 9), 0.0);
        assert_eq!(penalty(&dry(&[9]), &[1, 2, 3, 9, 1, 2, 3], 9), 0.0);
    }

    #[test]
    fn suffix_matches_equal_the_plain_search() {
        for text in [vec![1, 1, 1, 1], vec![1, 2, 1, 2, 1], vec![3, 1, 2, 3, 1, 2], vec![7], vec![]]
        {
            let plain: Vec<usize> = (0..text.len())
                .map(|end| {
                    (0..=end).take_while(|&k| text[end - k] == text[text.len() - 1 - k]).count()
                })
                .collect();
            assert_eq!(suffix_matches(&text), plain, "{text:?}");
        }
    }
}
