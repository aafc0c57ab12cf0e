//! Room for the tokens of a step: all of it or nothing.

use std::collections::BTreeMap;

use edgeformer_core::{Error, Result, SequenceId};

use super::{PagedCache, Sequence};

/// Why taking a page cannot fail once room was found.
const COUNTED: &str = "check_room has counted the free pages";

impl PagedCache {
    /// Reserves room for `count` more tokens of every span's sequence. Pages that will be written
    /// and that others own too are copied; pages that fell out of a window are released.
    ///
    /// A reservation that is still open is rolled back first. A cache without slots (encoders)
    /// reserves nothing and its lengths stay zero.
    ///
    /// # Errors
    /// If a sequence is unknown, named twice or would outgrow the context, or there are not enough
    /// free pages. Then everything is as it was.
    pub fn reserve(&mut self, spans: &[(SequenceId, usize)]) -> Result<()> {
        self.rollback();
        self.check_spans(spans)?;
        for group in 0..self.pools.len() {
            self.check_room(group, spans)?;
        }
        for group in 0..self.pools.len() {
            self.release_passed(group, spans);
            self.extend(group, spans);
        }
        if !self.pools.is_empty() {
            self.reserved.extend_from_slice(spans);
        }
        Ok(())
    }

    fn check_spans(&self, spans: &[(SequenceId, usize)]) -> Result<()> {
        for (index, &(seq, count)) in spans.iter().enumerate() {
            let needed = self.sequence(seq)?.len.saturating_add(count);
            if spans[..index].iter().any(|&(other, _)| other == seq) {
                return Err(Error::Step(format!("{seq} is in two spans of one step")));
            }
            if needed > self.context && !self.pools.is_empty() {
                return Err(Error::ContextFull { sequence: seq, needed, limit: self.context });
            }
        }
        Ok(())
    }

    /// Goes through the motions of [`release_passed`](Self::release_passed) and
    /// [`extend`](Self::extend) and counts pages.
    fn check_room(&mut self, group: usize, spans: &[(SequenceId, usize)]) -> Result<()> {
        let page_tokens = self.layout.page_tokens;
        let window = self.layout.groups[group].window;
        let pages = &mut self.pools[group];
        let growing = || growing(spans, &self.sequences);

        let mut free = pages.available();
        let mut needed = 0;
        for (sequence, _) in growing() {
            for page in sequence.tables[group].passed(sequence.len, window, page_tokens) {
                free += usize::from(pages.leave(page) == 0);
            }
        }
        for (sequence, count) in growing() {
            let table = &sequence.tables[group];
            needed += table.missing(sequence.len + count, page_tokens);
            if let Some(page) = table.page(sequence.len, page_tokens)
                && pages.remaining(page) > 1
            {
                pages.leave(page);
                needed += 1;
            }
        }
        for (sequence, _) in growing() {
            let table = &sequence.tables[group];
            table.passed(sequence.len, window, page_tokens).for_each(|page| pages.stay(page));
            table.page(sequence.len, page_tokens).into_iter().for_each(|page| pages.stay(page));
        }
        if needed > free {
            return Err(Error::CacheFull { needed, free });
        }
        Ok(())
    }

    fn release_passed(&mut self, group: usize, spans: &[(SequenceId, usize)]) {
        let page_tokens = self.layout.page_tokens;
        let window = self.layout.groups[group].window;
        for &(seq, count) in spans {
            if let Some(sequence) = self.sequences.get_mut(&seq).filter(|_| count > 0) {
                let len = sequence.len;
                sequence.tables[group].release_passed(
                    &mut self.pools[group],
                    len,
                    window,
                    page_tokens,
                );
            }
        }
    }

    fn extend(&mut self, group: usize, spans: &[(SequenceId, usize)]) {
        let page_tokens = self.layout.page_tokens;
        let pages = &mut self.pools[group];
        for &(seq, count) in spans {
            let Some(sequence) = self.sequences.get_mut(&seq).filter(|_| count > 0) else {
                continue;
            };
            let len = sequence.len;
            let table = &mut sequence.tables[group];
            if let Some(page) = table.page(len, page_tokens)
                && pages.is_shared(page)
            {
                table.replace(len, page_tokens, pages.copy(page).expect(COUNTED));
            }
            for _ in 0..table.missing(len + count, page_tokens) {
                table.push(pages.take().expect(COUNTED));
            }
        }
    }
}

/// The spans that write something.
fn growing<'a>(
    spans: &'a [(SequenceId, usize)],
    sequences: &'a BTreeMap<SequenceId, Sequence>,
) -> impl Iterator<Item = (&'a Sequence, usize)> {
    let found = spans.iter().filter(|(_, count)| *count > 0);
    found.filter_map(|&(seq, count)| Some((sequences.get(&seq)?, count)))
}
