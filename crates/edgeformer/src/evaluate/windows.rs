//! Text as it is scored: cut into windows.

use crate::{Error, Result};

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One window behind the other, the second half of each scored: what llama.cpp's `perplexity`
    /// does, so that its figures can be laid beside ours.
    Halves,
    /// Windows that overlap: each starts so many tokens behind the one before, and what that one
    /// did not score is scored. Every token is scored once, but for those at the beginning that do
    /// not have a window's length less the stride before them.
    Sliding {
        /// Tokens from the start of a window to the start of the next.
        stride: usize,
    },
}

/// A text cut into windows of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    tokens: Vec<u32>,
    context: usize,
    cut: Cut,
    count: usize,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<'a> {
    tokens: &'a [u32],
    unscored: usize,
    room: usize,
}

impl<'a> Window<'a> {
    /// Tokens that are context only.
    pub fn context(&self) -> &'a [u32] {
        &self.tokens[..self.unscored]
    }

    /// Tokens whose logits are scored: all behind the context but the last, which has no successor
    /// in the window.
    pub fn scored(&self) -> &'a [u32] {
        &self.tokens[self.unscored..self.tokens.len() - 1]
    }

    /// The right next token for each of [`scored`](Self::scored).
    pub fn next(&self) -> &'a [u32] {
        &self.tokens[self.unscored + 1..]
    }

    /// Tokens that a window of full length scores.
    pub fn room(&self) -> usize {
        self.room
    }
}

impl Windows {
    /// Cuts `tokens` into whole windows of `context` tokens, the second half of each scored; what is
    /// left over is dropped. Where the model knows a token that begins texts, it takes the place of
    /// each window's first.
    ///
    /// # Errors
    /// If a window has no two halves, or the text is shorter than one.
    pub fn new(tokens: &[u32], context: usize, beginning: Option<u32>) -> Result<Self> {
        check_length(tokens, context)?;
        let count = tokens.len() / context;
        let mut tokens = tokens[..count * context].to_vec();
        if let Some(beginning) = beginning {
            tokens.iter_mut().step_by(context).for_each(|first| *first = beginning);
        }
        Ok(Self { tokens, context, cut: Cut::Halves, count })
    }

    /// Windows that overlap ([`Cut::Sliding`]). The last ends where the text ends and may be
    /// shorter. Windows within the text begin as the text has it, as llama.cpp's `--ppl-stride` and
    /// Hugging Face's guide have them: with no token that begins texts.
    ///
    /// # Errors
    /// If the text is shorter than a window, or the stride is not shorter than it.
    pub fn sliding(tokens: &[u32], context: usize, stride: usize) -> Result<Self> {
        check_length(tokens, context)?;
        if stride == 0 || stride >= context {
            return Err(Error::Request(format!(
                "a stride of {stride} does not fit windows of {context} tokens: choose 1 to {}",
                context - 1
            )));
        }
        let count = 1 + (tokens.len() - context).div_ceil(stride);
        Ok(Self { tokens: tokens.to_vec(), context, cut: Cut::Sliding { stride }, count })
    }

    /// The first `count` windows, or all if there are fewer.
    #[must_use]
    pub fn take(mut self, count: usize) -> Self {
        self.count = self.count.min(count);
        let end = self.bounds(self.count.saturating_sub(1)).1;
        self.tokens.truncate(end);
        self
    }

    /// Parts windows that do not overlap: one in `every` is held out, so that both parts are from
    /// all of the text. The first part is the larger one.
    ///
    /// # Errors
    /// If there are too few to hold one out, or they overlap.
    pub fn hold_out(&self, every: usize) -> Result<(Self, Self)> {
        if self.cut != Cut::Halves || every < 2 || self.count < every {
            return Err(Error::Request(format!(
                "{} windows of {} tokens: of every {every} one is held out, so at least {every} are needed; name a longer text or let more of it be read",
                self.count, self.context
            )));
        }
        let held_out = |index: usize| index % every == every - 1;
        Ok((self.chosen(|index| !held_out(index)), self.chosen(held_out)))
    }

    fn chosen(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let windows = self.tokens.chunks_exact(self.context).enumerate();
        let chosen = windows.filter(|(index, _)| wanted(*index));
        let tokens: Vec<u32> = chosen.flat_map(|(_, window)| window).copied().collect();
        let count = tokens.len() / self.context;
        Self { tokens, context: self.context, cut: self.cut, count }
    }

    /// The windows.
    pub fn iter(&self) -> impl Iterator<Item = Window<'_>> {
        (0..self.count).map(|index| self.window(index))
    }

    /// One window.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn window(&self, index: usize) -> Window<'_> {
        let (start, end) = self.bounds(index);
        let unscored = self.unscored();
        Window { tokens: &self.tokens[start..end], unscored, room: self.context - 1 - unscored }
    }

    /// Number of windows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens of a window.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How the text is cut.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The tokens that the windows are cut from.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens of a window that are context only.
    pub fn unscored(&self) -> usize {
        match self.cut {
            Cut::Halves => self.context / 2,
            // The row before the first scored token is the first scored row.
            Cut::Sliding { stride } => self.context - stride - 1,
        }
    }

    fn bounds(&self, index: usize) -> (usize, usize) {
        let start = match self.cut {
            Cut::Halves => index * self.context,
            Cut::Sliding { stride } => index * stride,
        };
        (start, (start + self.context).min(self.tokens.len()))
    }
}

/// Whether a text has one whole window with something to score.
fn check_length(tokens: &[u32], context: usize) -> Result<()> {
    if context < 4 {
        return Err(Error::Request(format!("windows of {context} tokens have nothing to score")));
    }
    if tokens.len() < context {
        let tokens = tokens.len();
        return Err(Error::Request(format!(
            "the text has {tokens} tokens, one window takes {context}: name a longer text or a smaller --ctx-size"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_are_whole_and_begin_with_the_mark() {
        let tokens: Vec<u32> = (10..21).collect();
        let windows = Windows::new(&tokens, 5, Some(1)).unwrap();
        let cut: Vec<_> = windows.iter().map(|w| (w.context(), w.scored(), w.next())).collect();
        let first: (&[u32], &[u32], &[u32]) = (&[1, 11], &[12, 13], &[13, 14]);
        assert_eq!(cut, [first, (&[1, 16], &[17, 18], &[18, 19])]);
        assert_eq!(windows.clone().take(1).tokens(), [1, 11, 12, 13, 14]);
        assert_eq!(Windows::new(&tokens, 11, None).unwrap().window(0).tokens, tokens);
    }

    #[test]
    fn short_texts_and_windows_are_refused() {
        let problem =
            |tokens: &[u32], context| Windows::new(tokens, context, None).unwrap_err().to_string();
        assert!(problem(&[1, 2, 3, 4], 8).contains("4 tokens, one window takes 8"));
        assert!(problem(&[1, 2, 3, 4], 3).contains("nothing to score"));
        let stride = |stride| Windows::sliding(&[0; 9], 4, stride).map(|_| ());
        assert!(stride(0).is_err() && stride(4).is_err() && stride(3).is_ok());
    }

    #[test]
    fn windows_that_are_held_out_are_not_among_the_others() {
        let tokens: Vec<u32> = (0..37).collect();
        let windows = Windows::new(&tokens, 4, None).unwrap();
        let (kept, held_out) = windows.hold_out(4).unwrap();
        assert_eq!(held_out.tokens(), [12, 13, 14, 15, 28, 29, 30, 31]);
        assert_eq!((kept.count(), held_out.count()), (7, 2));
        assert!(kept.tokens().iter().all(|token| !held_out.tokens().contains(token)));
        let problem = windows.take(3).hold_out(4).unwrap_err().to_string();
        assert!(problem.contains("at least 4 are needed"), "{problem}");
    }

    proptest! {
        #[test]
        fn sliding_windows_score_every_token_once_with_enough_before_it(
            len in 4u32..90, context in 4usize..20, stride in 1usize..19,
        ) {
            prop_assume!(stride < context && len as usize >= context);
            let tokens: Vec<u32> = (0..len).collect();
            let windows = Windows::sliding(&tokens, context, stride).unwrap();
            let scored: Vec<u32> = windows.iter().flat_map(|w| w.next().to_vec()).collect();
            let first = (context - stride) as u32;
            prop_assert_eq!(scored, (first..len).collect::<Vec<u32>>());
            for window in windows.iter() {
                prop_assert!(window.context().len() + 1 >= context - stride);
            }
        }
    }
}
