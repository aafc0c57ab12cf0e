//! Text as it is scored: cut into windows.

use crate::{Error, Result};

/// A text cut into windows of one length, of each of which the second half is scored: what
/// llama.cpp's `perplexity` does, so that its figures can be laid beside ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    tokens: Vec<u32>,
    context: usize,
}

impl Windows {
    /// Cuts `tokens` into whole windows of `context` tokens; what is left over is dropped. Where
    /// the model knows a token that begins texts, it takes the place of each window's first.
    ///
    /// # Errors
    /// If a window has no two halves, or the text is shorter than one.
    pub fn new(tokens: &[u32], context: usize, beginning: Option<u32>) -> Result<Self> {
        if context < 4 {
            return Err(Error::Request(format!(
                "windows of {context} tokens have nothing to score"
            )));
        }
        let whole = tokens.len() / context * context;
        if whole == 0 {
            let tokens = tokens.len();
            return Err(Error::Request(format!(
                "the text has {tokens} tokens, one window takes {context}: name a longer text"
            )));
        }
        let mut tokens = tokens[..whole].to_vec();
        if let Some(beginning) = beginning {
            tokens.iter_mut().step_by(context).for_each(|first| *first = beginning);
        }
        Ok(Self { tokens, context })
    }

    /// The windows.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.tokens.chunks_exact(self.context)
    }

    /// Tokens of a window.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Tokens of all windows.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is nothing to score: never.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens of a window that are context only.
    pub fn unscored(&self) -> usize {
        self.context / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_and_begin_with_the_mark() {
        let tokens: Vec<u32> = (10..21).collect();
        let windows = Windows::new(&tokens, 5, Some(1)).unwrap();
        let cut: Vec<&[u32]> = windows.iter().collect();
        assert_eq!(cut, [[1, 11, 12, 13, 14], [1, 16, 17, 18, 19]]);
        assert_eq!(Windows::new(&tokens, 11, None).unwrap().iter().next().unwrap(), tokens);
    }

    #[test]
    fn short_texts_and_windows_are_refused() {
        let problem =
            |tokens: &[u32], context| Windows::new(tokens, context, None).unwrap_err().to_string();
        assert!(problem(&[1, 2, 3, 4], 8).contains("4 tokens, one window takes 8"));
        assert!(problem(&[1, 2, 3, 4], 3).contains("nothing to score"));
    }
}
