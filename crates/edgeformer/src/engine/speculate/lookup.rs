use std::collections::HashMap;

use super::Guess;

/// Tokens of the longest sequences that are looked up.
pub(super) const LONGEST: usize = 4;

/// Where sequences of up to [`LONGEST`] tokens occurred last (prompt lookup decoding, as llama.cpp's
/// `lookup` and Hugging Face's `prompt_lookup_num_tokens`). The longer the sequence that occurred
/// before, the likelier it goes on as it did: its length is the class of the guess.
#[derive(Debug, Default)]
pub(in crate::engine) struct Lookup {
    /// By sequence, where it goes on.
    next: HashMap<Gram, usize>,
    /// Tokens whose sequences are in `next`.
    indexed: usize,
}

/// A short sequence: its tokens at the end, zeros before.
type Gram = (u8, [u32; LONGEST]);

fn gram(tokens: &[u32], length: usize) -> Option<Gram> {
    let from = tokens.len().checked_sub(length)?;
    let mut padded = [0; LONGEST];
    padded[LONGEST - length..].copy_from_slice(&tokens[from..]);
    Some((length as u8, padded))
}

impl Lookup {
    /// Guesses up to `most` tokens that follow `tokens`, which only ever grow.
    pub fn guess(&mut self, tokens: &[u32], most: usize) -> Guess {
        self.index(tokens);
        let found = (1..=LONGEST).rev().find_map(|length| {
            let next = *self.next.get(&gram(tokens, length)?)?;
            Some((length, next))
        });
        let Some((class, next)) = found else { return Guess::default() };
        // What repeats up to the end goes on repeating.
        let period = tokens.len() - next;
        let guesses = (0..most).map(|index| tokens[next + index % period]).collect();
        Guess { tokens: guesses, class }
    }

    /// Takes in all sequences that something follows.
    fn index(&mut self, tokens: &[u32]) {
        for end in self.indexed.max(1)..tokens.len() {
            let grams = (1..=LONGEST).filter_map(|length| gram(&tokens[..end], length));
            self.next.extend(grams.map(|gram| (gram, end)));
        }
        self.indexed = self.indexed.max(tokens.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(tokens: &[u32], most: usize) -> (usize, Vec<u32>) {
        let Guess { tokens, class } = Lookup::default().guess(tokens, most);
        (class, tokens)
    }

    #[test]
    fn the_longest_sequence_that_occurred_before_says_what_follows() {
        assert_eq!(guess(&[1, 2, 3, 9, 8, 2, 3], 2), (2, vec![9, 8]));
        assert_eq!(guess(&[7, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1), (3, vec![5]));
        assert_eq!(guess(&[1, 2, 3], 4), (0, vec![]));
        assert_eq!(guess(&[], 4), (0, vec![]));
    }

    #[test]
    fn the_latest_occurrence_counts() {
        assert_eq!(guess(&[5, 1, 5, 2, 5], 1), (1, vec![2]));
    }

    #[test]
    fn a_repetition_goes_on() {
        assert_eq!(guess(&[4, 4], 3), (1, vec![4, 4, 4]));
        assert_eq!(guess(&[1, 2, 3, 1, 2, 3, 1, 2], 5).1, [3, 1, 2, 3, 1]);
    }

    proptest::proptest! {
        #[test]
        fn growing_step_by_step_equals_looking_at_all(
            tokens in proptest::collection::vec(0u32..4, 1..60),
            cuts in proptest::collection::vec(0usize..60, 0..8),
        ) {
            let mut grown = Lookup::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % tokens.len()).collect();
            cuts.sort_unstable();
            for cut in cuts {
                grown.guess(&tokens[..cut], 3);
            }
            proptest::prop_assert_eq!(grown.guess(&tokens, 5), Lookup::default().guess(&tokens, 5));
        }
    }
}
