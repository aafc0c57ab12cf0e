//! Texts as words, and runs of words as numbers.

use twox_hash::XxHash64;

/// The words of a text in lower case: runs of letters and digits. Scripts that are written without
/// spaces give a word a character.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    for letter in text.chars() {
        let alone = is_written_without_spaces(letter);
        if alone || !letter.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if alone {
                words.push(letter.to_string());
            }
            continue;
        }
        word.extend(letter.to_lowercase());
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Kana and Han.
fn is_written_without_spaces(letter: char) -> bool {
    matches!(u32::from(letter), 0x3041..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0x2_0000..=0x3_ffff)
}

/// The hash of a run of words.
pub(super) fn hash(words: &[String]) -> u64 {
    let mut text = String::with_capacity(words.iter().map(|word| word.len() + 1).sum());
    for word in words {
        text.push_str(word);
        text.push(' ');
    }
    XxHash64::oneshot(0, text.as_bytes())
}

/// The hashes of all runs of `n` words, sorted, each once. A text of fewer words is one run; one
/// without any words is the run of its characters.
pub(super) fn shingles(text: &str, n: usize) -> Vec<u64> {
    let words = words(text);
    if words.is_empty() {
        return vec![XxHash64::oneshot(1, text.trim().as_bytes())];
    }
    let mut shingles: Vec<u64> = words.windows(n.clamp(1, words.len())).map(hash).collect();
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("It's 3.5, ÄRGER!"), ["it", "s", "3", "5", "ärger"]);
        assert_eq!(words("ab日本c"), ["ab", "日", "本", "c"]);
        assert!(words("...").is_empty());
    }

    #[test]
    fn shingles_are_distinct_runs() {
        assert_eq!(shingles("a b a b a", 2).len(), 2);
        assert_eq!(shingles("a b", 5).len(), 1);
        assert_eq!(shingles("?!", 5).len(), 1);
        assert_ne!(shingles("a bc", 2), shingles("ab c", 2));
    }
}
