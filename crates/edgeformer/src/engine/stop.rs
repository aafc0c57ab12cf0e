/// Looks for stop texts in a stream, holding back what may become one.
#[derive(Debug)]
pub(super) struct StopTexts {
    texts: Vec<String>,
    held: String,
}

/// What a piece of text released.
#[derive(Debug, PartialEq)]
pub(super) enum Released {
    /// Text that belongs to no stop text; may be empty.
    Text(String),
    /// The text before a stop text; the answer ends here.
    Stopped(String),
}

impl StopTexts {
    pub fn new(texts: &[String]) -> Self {
        Self {
            texts: texts.iter().filter(|text| !text.is_empty()).cloned().collect(),
            held: String::new(),
        }
    }

    /// Takes a piece and gives what can be shown.
    pub fn push(&mut self, piece: &str) -> Released {
        self.held.push_str(piece);
        if let Some(at) = self.texts.iter().filter_map(|text| self.held.find(text.as_str())).min() {
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return Released::Stopped(text);
        }
        let kept = self.texts.iter().map(|text| overlap(&self.held, text)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        Released::Text(std::mem::replace(&mut self.held, rest))
    }

    /// What was held back, at the end.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes of the longest end of `text` that `stop` starts with.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len() - 1);
    let ends_like = |&length: &usize| text.as_bytes().ends_with(&stop.as_bytes()[..length]);
    let found = (1..=longest).rev().find(ends_like).unwrap_or(0);
    // Equal bytes from a character's start on are equal characters: this is a boundary.
    debug_assert!(text.is_char_boundary(text.len() - found));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut matcher =
            StopTexts::new(&stops.iter().map(|&stop| stop.to_string()).collect::<Vec<_>>());
        let mut shown = String::new();
        for piece in pieces {
            match matcher.push(piece) {
                Released::Text(text) => shown.push_str(&text),
                Released::Stopped(text) => return (shown + &text, true),
            }
        }
        (shown + &matcher.finish(), false)
    }

    #[test]
    fn a_stop_text_over_several_pieces_is_found_and_not_shown() {
        assert_eq!(run(&["\nUser:"], &["Hi", "\nUs", "er: more"]), ("Hi".into(), true));
        assert_eq!(run(&["\nUser:"], &["Hi", "\nUs", "ually"]), ("Hi\nUsually".into(), false));
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".into(), true));
    }

    #[test]
    fn the_earliest_stop_text_wins() {
        assert_eq!(run(&["world", "o"], &["hello world"]), ("hell".into(), true));
        assert_eq!(run(&["", "x"], &["abc"]), ("abc".into(), false));
    }

    #[test]
    fn held_text_keeps_whole_characters() {
        assert_eq!(run(&["é!"], &["caf", "é", "?"]), ("café?".into(), false));
        assert_eq!(run(&["\u{e9}\u{e8}"], &["\u{e9}", "\u{ea}"]), ("\u{e9}\u{ea}".into(), false));
    }

    proptest::proptest! {
        #[test]
        fn streaming_equals_searching_the_whole(text in "[ab]{0,30}", stop in "[ab]{1,4}", cut in 1usize..5) {
            let pieces: Vec<String> = text.as_bytes().chunks(cut).map(|c| String::from_utf8(c.to_vec()).unwrap()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let expected = match text.find(&stop) {
                Some(at) => (text[..at].to_string(), true),
                None => (text.clone(), false),
            };
            proptest::prop_assert_eq!(run(&[&stop], &pieces), expected);
        }
    }
}
