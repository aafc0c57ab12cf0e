//! What the arithmetic of a core and its way to memory can give: the instruction sequences of the
//! kernels with nothing around them, and a reader that does nothing but read.
//!
//! A sequence is a function over a number of rounds that returns the sum of all it computed: so
//! that nothing can be left out, and that tests can see that it does what it counts.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

/// A sequence of instructions that is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Sequence {
    /// What it is called.
    pub name: &'static str,
    /// Operations of a round; an addition and a multiplication are two.
    pub operations: u64,
    /// Runs so many rounds and returns the sum of all products.
    pub run: fn(u64) -> f64,
}

/// The sequences that this machine has.
pub fn sequences() -> Vec<Sequence> {
    #[cfg(target_arch = "x86_64")]
    let sequences = x86::sequences();
    #[cfg(target_arch = "aarch64")]
    let sequences = Some(aarch64::sequences());
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let sequences = None;
    sequences.unwrap_or_else(|| vec![portable::MULTIPLY_ADD])
}

/// Reads every word once, along four streams, and returns their exclusive or.
pub fn read(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(result) = x86::read(words) {
        return result;
    }
    portable::read(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_compute_what_they_count() {
        // Every product is 3 * 5 or 3 * 1: a round has half as many products as operations.
        for sequence in sequences() {
            for rounds in [0, 1, 7] {
                let products = (rounds * sequence.operations / 2) as f64;
                let each = if sequence.name.starts_with("int8") { 15.0 } else { 3.0 };
                assert_eq!((sequence.run)(rounds), products * each, "{}", sequence.name);
            }
        }
    }

    #[test]
    fn every_word_is_read() {
        for length in [0, 1, 31, 32, 33, 129, 1000] {
            let words: Vec<u64> = (0..length).map(|index| (index * index + 7) << 20).collect();
            let expected = words.iter().fold(0, |all, word| all ^ word);
            assert_eq!(read(&words), expected);
            assert_eq!(portable::read(&words), expected);
        }
    }
}
