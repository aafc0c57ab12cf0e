//! A file line by line, in memory that does not grow with its longest line.

use std::io::{self, BufRead};

/// Bytes that a line may have.
pub const MAX_LINE: usize = 16 << 20;

/// Lines of a stream, numbered from 1, without their ends (`\n` or `\r\n`).
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    limit: usize,
    number: u64,
}

/// A line, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedLine {
    /// Its number, from 1.
    pub number: u64,
    /// Its text, or what is wrong with it and the remedy.
    pub text: Result<String, String>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `limit` bytes; what is longer is passed over and told.
    pub fn new(from: R, limit: usize) -> Self {
        Self { from, limit, number: 0 }
    }

    /// The next line's bytes without its end, `None` at the end of the stream. The second value
    /// is how many bytes it had in all; no more than the limit are kept.
    fn read(&mut self) -> io::Result<Option<(Vec<u8>, usize)>> {
        let (mut line, mut length) = (Vec::new(), 0usize);
        loop {
            let buffer = match self.from.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok((length > 0).then_some((line, length)));
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = self.limit.saturating_sub(line.len()).min(part.len());
            line.extend_from_slice(&part[..room]);
            length += part.len();
            let taken = part.len() + usize::from(end.is_some());
            self.from.consume(taken);
            if end.is_some() {
                return Ok(Some((line, length)));
            }
        }
    }

    fn text(&self, line: Vec<u8>, length: usize) -> Result<String, String> {
        if length > self.limit {
            let limit = self.limit;
            return Err(format!(
                "the line has {length} bytes, at most {limit} are read: one record a line"
            ));
        }
        let mut text = String::from_utf8(line).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("byte {at} of the line is not valid UTF-8: convert the file (iconv -t UTF-8)")
        })?;
        if text.ends_with('\r') {
            text.pop();
        }
        if self.number == 1 && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Ok(text)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<NumberedLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, length) = match self.read() {
            Ok(read) => read?,
            Err(error) => return Some(Err(error)),
        };
        self.number += 1;
        Some(Ok(NumberedLine { number: self.number, text: self.text(line, length) }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8], limit: usize, buffer: usize) -> Vec<NumberedLine> {
        let reader = BufReader::with_capacity(buffer, bytes);
        Lines::new(reader, limit).collect::<io::Result<_>>().unwrap()
    }

    #[test]
    fn long_lines_are_told_and_passed_over() {
        let found = lines(b"ab\nabcdefghij\r\nabc\n", 4, 3);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].text.as_deref(), Ok("ab"));
        let told = found[1].text.as_ref().unwrap_err();
        assert!(told.contains("11 bytes, at most 4"), "{told}");
        assert_eq!((found[2].number, found[2].text.as_deref()), (3, Ok("abc")));
    }

    #[test]
    fn marks_of_other_systems_are_taken_off() {
        let found = lines("\u{feff}a\r\n\u{feff}b".as_bytes(), 9, 64);
        assert_eq!(found[0].text.as_deref(), Ok("a"));
        assert_eq!(found[1].text.as_deref(), Ok("\u{feff}b"));
        let wrong = lines(b"a\xff", 9, 64);
        assert!(wrong[0].text.as_ref().unwrap_err().contains("byte 1"));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_split(text in "[ab\n]{0,60}", buffer in 1usize..9) {
            let mut expected: Vec<&str> = text.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            let found = lines(text.as_bytes(), 100, buffer);
            let numbers: Vec<u64> = found.iter().map(|line| line.number).collect();
            prop_assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<_>>());
            let texts: Vec<String> = found.into_iter().map(|line| line.text.unwrap()).collect();
            prop_assert_eq!(texts, expected);
        }
    }
}
