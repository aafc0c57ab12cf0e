/// The known name with the fewest edits, if at most a third of the letters change.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let normal = name.to_ascii_lowercase().replace('-', "_");
    let (edits, best) = known.iter().map(|&known| (edits(&normal, known), known)).min()?;
    (edits <= normal.len().max(best.len()).div_ceil(3)).then_some(best)
}

/// Levenshtein's distance in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_errors_and_nothing_else() {
        let known = ["temperature", "top_k", "threads"];
        assert_eq!(nearest("top-k", &known), Some("top_k"));
        assert_eq!(nearest("TEMPERATUR", &known), Some("temperature"));
        assert_eq!(nearest("zzzzzzzz", &known), None);
    }
}
